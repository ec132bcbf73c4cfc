"""Models: weights by path, running statistics, dropout, heads, features, and inputs that do not fit."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv import Tensor
from tinygradconv.models import lenet5
from tinygradconv.remat import remat
from tinygradconv.spec import (
    Aux,
    BatchNorm,
    Constant,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
    ReLU,
    Scope,
    Share,
)


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_model_of_lenet5():
    model = lenet5.build((28, 28, 1), seed=3)
    assert model.parameter_count == 61_706 and model.input_shape == (28, 28, 1) and model.spec is lenet5
    assert repr(model) == "Model(61,706 parameters, (28, 28, 1) -> (10,))"
    assert list(model.parameters)[:3] == ["0.weight", "0.bias", "3.weight"] and model.buffers == {}
    assert all(p.requires_grad and p.dtype == np.float32 for p in model.parameters.values())
    model(images(2, 28, 28, 1)).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters.values())


def test_weights_depend_on_seed_and_path_alone():
    head = Scope(fc=Dense(10))
    with_more, same, other = (Scope(conv=Conv(3, 3), _f=Flatten(), fc=Dense(10)), head, head)
    a, b, c = with_more.build((3, 3, 1), seed=1), same.build((3,), seed=1), other.build((3,), seed=2)
    np.testing.assert_array_equal(a.parameters["fc.weight"].numpy(), b.parameters["fc.weight"].numpy())
    assert not np.array_equal(b.parameters["fc.weight"].numpy(), c.parameters["fc.weight"].numpy())
    double = head.build((3,), seed=1, dtype="float64").parameters["fc.weight"]
    assert double.dtype == np.float64
    np.testing.assert_array_equal(double.numpy(), b.parameters["fc.weight"].numpy())


@pytest.mark.parametrize(("init", "variance", "edge"), [
    (HeNormal(), 2 / 400, None), (HeUniform(), 2 / 400, (6 / 400) ** 0.5), (LeCunNormal(), 1 / 400, None),
    (LeCunUniform(), 1 / 400, (3 / 400) ** 0.5),
    (GlorotNormal(), 2 / 1200, None), (GlorotUniform(), 2 / 1200, (6 / 1200) ** 0.5), (Constant(0.5), 0, 0.5)])
def test_initialisers_have_the_papers_variance(init, variance, edge):
    model = Conv(32, 5, init=init).build((8, 8, 16))
    weight = model.parameters["weight"].numpy()
    np.testing.assert_allclose(weight.var(), variance, rtol=0.05)
    assert abs(weight.mean()) < 0.003 or edge == 0.5
    assert edge is None or 0.99 * edge < abs(weight).max() <= edge
    assert not model.parameters["bias"].numpy().any()


def test_batch_norm_keeps_running_statistics_as_torch_does():
    torch = pytest.importorskip("torch")
    ours, theirs = BatchNorm(momentum=0.3).build((5, 4, 3)), torch.nn.BatchNorm2d(3, momentum=0.3)
    for seed in range(3):
        x = images(2, 5, 4, 3, seed=seed) * 3 + 1
        y, expected = ours(x, train=True), theirs(torch.from_numpy(x).permute(0, 3, 1, 2))
        np.testing.assert_allclose(y.numpy(), expected.detach().permute(0, 2, 3, 1).numpy(), atol=1e-5)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(ours.buffers[name].numpy(), getattr(theirs, name).numpy(), rtol=1e-5)
        assert not ours.buffers[name].requires_grad and ours.buffers[name].dtype == np.float32
    theirs.eval()
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1).numpy(),
        atol=1e-5)


def test_evaluation_changes_nothing():
    model = (BatchNorm() >> Dropout()).build((3,))
    before = dict(model.buffers)
    np.testing.assert_allclose(model(images(4, 3)).numpy(), images(4, 3), rtol=1e-4)
    assert model.buffers == before and model.counter.value == 0


def test_one_value_per_channel_is_refused_in_training():
    model = Scope(bn=BatchNorm()).build((3,))
    with pytest.raises(ValueError, match=r"bn: BatchNorm in training needs more than one value per channel; got x \(1, 3\)\. Use a"):
        model(images(1, 3), train=True)
    model(images(1, 3))


def test_dropout_is_a_function_of_seed_path_and_call():
    spec = Scope(a=Dropout(0.5), b=Dropout(0.5))
    x = np.ones((1, 1000), np.float32)
    model, again, other = spec.build((1000,)), spec.build((1000,)), spec.build((1000,), seed=1)
    first, second = model(x, train=True).numpy(), model(x, train=True).numpy()
    np.testing.assert_array_equal(first, again(x, train=True).numpy())
    assert not np.array_equal(first, second) and not np.array_equal(first, other(x, train=True).numpy())
    assert 0.2 < (first == 4).mean() < 0.3 and set(np.unique(first)) == {0, 4}        # two streams, not one twice
    twice = (Share("d", Dropout(0.5)) >> Share("d", Dropout(0.5))).build((1000,))
    assert 0.2 < (twice(x, train=True).numpy() == 4).mean() < 0.3


def test_remat_replays_dropout_and_moves_statistics_once():
    spec = Conv(4, 3) >> BatchNorm() >> ReLU() >> Dropout(0.5) >> GlobalAvgPool() >> Dense(2)
    plain, thrifty = spec.build((8, 8, 1)), spec.build((8, 8, 1))
    for _ in range(2):
        x = Tensor(images(4, 8, 8, 1))
        a, b = plain(x, train=True), remat(lambda x: thrifty(x, train=True))(x)
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        a.sum().backward()
        b.sum().backward()
    for path, parameter in plain.parameters.items():
        np.testing.assert_allclose(parameter.grad.numpy(), thrifty.parameters[path].grad.numpy(), rtol=1e-5, atol=1e-6)
    for path, buffer in plain.buffers.items():
        np.testing.assert_array_equal(buffer.numpy(), thrifty.buffers[path].numpy())
    assert thrifty.counter.value == 2


def test_auxiliary_heads_join_in_training_only():
    model = Scope(a=Dense(4), aux1=Aux(Dense(2), weight=0.25), b=Dense(3)).build((5,))
    x = images(2, 5)
    y = model(x)
    (trained, heads) = model(x, train=True)
    np.testing.assert_array_equal(y.numpy(), trained.numpy())
    assert list(heads) == ["aux1"] and heads["aux1"][0].shape == (2, 2) and heads["aux1"][1] == 0.25
    (heads["aux1"][0].sum() * 0.25 + trained.sum()).backward()
    assert model.parameters["aux1.weight"].grad is not None
    with pytest.raises(ValueError, match=r"features: 'aux1' is in an auxiliary head, which runs in training only: give train=True"):
        model.features(x, at="aux1")


def test_features_by_path():
    model = Scope(body=Dense(4) >> ReLU(), fc=Dense(3)).build((5,))
    x = images(2, 5)
    several = model.features(x, at=["body.0", "body", "fc"])
    np.testing.assert_array_equal(np.maximum(several["body.0"].numpy(), 0), several["body"].numpy())
    np.testing.assert_array_equal(model.features(x, at="fc").numpy(), model(x).numpy())
    with pytest.raises(ValueError, match=r"^features: there is no 'bodi\.0' in this model\. Did you mean 'body\.0' or 'body"):
        model.features(x, at="bodi.0")


MISFIT = "model: x has shape {got}; the model was built for (28, 28, 1), so x must be (N, 28, 28, 1). {cure}"


@pytest.mark.parametrize(("got", "cure"), [
    ((28, 28, 1), "Add the batch axis: x[None]"), ((2, 1, 28, 28), "It looks channels-first: use x.permute_dims((0, 2, 3, 1))"),
    ((1, 28, 28, 3), "Build the model with spec.build((28, 28, 3)), or bring the images to (28, 28, 1)"),
    ((2, 3, 32, 32), "Build the model with spec.build((32, 32, 3)), or bring the images to (28, 28, 1)"),
    ((2, 32, 32, 1), "Build the model with spec.build((32, 32, 1)), or bring the images to (28, 28, 1)"),
    ((2, 28, 28), "Add the axis of channels: x[..., None]"), ((28, 28), "Add the axes of the batch and the channels: x[None, ..., None]"),
    ((784,), "The batch axis comes first, the channels last"), ((), "The batch axis comes first, the channels last"),
])
def test_an_input_that_does_not_fit(got, cure):
    with pytest.raises(ValueError) as caught:
        lenet5.build((28, 28, 1))(np.zeros(got, np.float32))
    assert str(caught.value) == MISFIT.format(got=got, cure=cure)


@pytest.mark.parametrize(("dtype", "cure"), [("uint8", "Use x.astype('float32') / 255"), ("int64", "Use x.astype('float32')"),
                                             ("float64", "Use x.astype('float32')")])
def test_an_input_of_another_dtype(dtype, cure):
    with pytest.raises(TypeError) as caught:
        lenet5.build((28, 28, 1))(np.zeros((1, 28, 28, 1), dtype))
    assert str(caught.value) == f"model: x is {dtype}, the model computes in float32. {cure}"


def test_an_empty_batch_and_a_bad_dtype():
    assert lenet5.build((28, 28, 1))(np.zeros((0, 28, 28, 1), np.float32)).shape == (0, 10)
    with pytest.raises(TypeError, match="build: dtype must be float32 or float64, got int64"):
        lenet5.build((28, 28, 1), dtype="int64")
