"""First weights: the variances of the papers, units that differ in their fan-in, and one stream of random numbers per path."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv.spec import (
    Constant,
    Conv,
    Conv1d,
    ConvTranspose,
    Dense,
    FanIn,
    Flatten,
    GlorotUniform,
    HeNormal,
    LeCunUniform,
    Normal,
    ReLU,
    Scale,
    Scope,
    Spec,
    TableConv,
    Uniform,
)


@pytest.mark.parametrize(("init", "variance", "edge"), [
    (Normal(0.01), 1e-4, None), (Normal(3.0), 9, None), (Uniform(0.6), 0.12, 0.6), (FanIn(2.4), (2.4 / 400) ** 2 / 3, 2.4 / 400)])
def test_weights_have_the_variance_that_is_said(init, variance, edge):
    weight = Conv(32, 5, init=init).build((8, 8, 16)).parameters["weight"].numpy()             # fan-in 5·5·16 = 400
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight.var(), variance, rtol=0.03)
    assert abs(weight.mean()) < 4 * (variance / weight.size) ** 0.5
    if edge:
        assert 0.999 * edge < np.abs(weight).max() <= np.float32(edge)
    else:
        assert 0.25 < (np.abs(weight) > variance ** 0.5).mean() < 0.38                         # 0.317 of a normal distribution


@pytest.mark.parametrize(("init", "deviation"), [
    (FanIn(2.4), lambda fan_in, fan_out: 2.4 / fan_in / 3 ** 0.5), (HeNormal(), lambda fan_in, fan_out: (2 / fan_in) ** 0.5),
    (LeCunUniform(), lambda fan_in, fan_out: fan_in ** -0.5), (GlorotUniform(), lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5)])
def test_a_filter_of_a_table_is_drawn_for_the_unit_that_it_belongs_to(init, deviation):
    weight = TableConv(((0,), (0, 1, 2), (2,)), 50, init=init).build((50, 50, 3)).parameters["weight"].numpy()
    readers, row = {0: 2, 1: 1, 2: 2}, [(0, 1), (0, 3), (1, 3), (2, 3), (2, 1)]                # (input map, inputs of the output map)
    expected = [deviation(2500 * inputs, 2500 * readers[one]) for one, inputs in row]
    np.testing.assert_allclose(weight.std((0, 1)), expected, rtol=0.06)


LAYERS = [(lambda **more: Conv(3, 3, **more), (5, 5, 2), 18, 27), (lambda **more: Conv1d(3, 3, **more), (5, 2), 6, 9),
          (lambda **more: ConvTranspose(3, 3, **more), (5, 5, 2), 18, 27), (lambda **more: Dense(3, **more), (7,), 7, 3),
          (lambda **more: TableConv(((0,), (1,), (1,)), 3, **more), (5, 5, 2), (9, 9, 9), None)]


@pytest.mark.parametrize(("make", "shape", "fan_in", "fan_out"), LAYERS)
def test_biases_start_at_zero_unless_one_says_otherwise(make, shape, fan_in, fan_out):
    assert (make().build(shape).parameters["bias"].numpy() == 0).all()
    ones = make(bias_init=Constant(1.0))
    assert (ones.build(shape).parameters["bias"].numpy() == 1).all()
    assert Spec.from_json(ones.to_json()) == ones != make() and make(bias_init=Constant(0)) == make()
    bias = ones.infer(shape).parameters["bias"]
    assert bias.shape == (3,) and bias.fan_in == fan_in and fan_out in (None, bias.fan_out)     # those of the unit that it is added to


def test_scale_starts_as_nothing():
    model = Scale().build((4, 4, 3))
    assert (model.parameters["weight"].numpy() == 1).all() and (model.parameters["bias"].numpy() == 0).all()


def test_each_parameter_has_a_stream_of_its_own():
    few = Scope(c1=Conv(4, 3, init=Normal(1.0), bias_init=Normal(1.0)), _flat=Flatten(), fc=Dense(5, init=FanIn(1.0)))
    more = Scope(c1=Conv(4, 3, init=Normal(1.0), bias_init=Normal(1.0)), c2=Conv(4, 1), _relu=ReLU(), _flat=Flatten(),
                 fc=Dense(5, init=FanIn(1.0)))
    a, b = few.build((5, 5, 2), seed=4).parameters, more.build((5, 5, 2), seed=4).parameters
    for path in a:
        np.testing.assert_array_equal(a[path].numpy(), b[path].numpy())
    assert not np.intersect1d(a["c1.weight"].numpy(), a["c1.bias"].numpy()).size
    assert not np.array_equal(a["c1.weight"].numpy(), few.build((5, 5, 2), seed=5).parameters["c1.weight"].numpy())


def test_initialisers_are_values():
    assert Normal(0.01) == Normal(deviation=0.01) != Uniform(0.01) and hash(FanIn(2.4)) == hash(FanIn(2.4))
    assert repr(Normal(0.01)) == "Normal(0.01)" and repr(HeNormal()) == "HeNormal()" and repr(Constant(1)) == "Constant(1.0)"
    spec = Conv(3, 3, init=Normal(0.01), bias_init=FanIn(2.4)) >> Scale(init=Uniform(0.5))
    assert Spec.from_json(spec.to_json()) == spec
