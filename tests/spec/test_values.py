"""A spec is a value: it is equal to itself said again, hashes, prints as the code that makes it, and does not change."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv import spec as spec_module
from tinygradconv.spec import (
    Aux,
    AvgPool,
    BatchNorm,
    Chain,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    DistancePool,
    Dropout,
    Flatten,
    GlorotUniform,
    Identity,
    LpPool,
    MaxPool,
    Pad,
    ReLU,
    Reshape,
    Residual,
    Scope,
    Share,
    Spec,
    Sum,
    Tanh,
)

a, b, c = Conv(8, 1), Conv(8, 3, padding=1), ReLU()

SPECS = [
    a >> b >> c, a | b, (a | b) >> c, a >> c | b >> c, c * 3, Chain(a), Chain(a | b), Concat(a | b, c), Concat(left=a, right=b),
    Concat(a, right=b),
    Sum(a >> c, b), Sum(_main=a, skip=b), Residual(b), Residual(b >> c, a), Scope(conv1=a, bn1=BatchNorm(), _relu=c),
    Scope(**{"0": a, "1": b}),
    Aux(Flatten() >> Dense(10)), Aux(Dense(10), weight=0.5), Share("enc.a", a) >> Share("enc.a", a), (a | b) * 2 >> c,
    Conv(6, (5, 3), stride=2, padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2, bias=False, init=GlorotUniform()),
    Conv(6, 5, padding="same"),
    Dense(3, init=Constant(0.25)), DistancePool(2, weights=((1.0, 0.5), (0.5, 0.25))), LpPool(3, 1.5, stride=1),
    MaxPool(3, stride=2, ceil_mode=True),
    Dropout(0.4), Reshape((4, 4, 3)), ConvTranspose(3, 4, stride=2, padding=1, output_padding=1),
]


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_repr_is_the_code_that_makes_it(spec):
    names = {name: getattr(spec_module, name) for name in spec_module.__all__}
    assert eval(repr(spec), names) == spec
    assert hash(eval(repr(spec), names)) == hash(spec)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_json_gives_the_same_spec(spec):
    assert Spec.from_json(spec.to_json()) == spec


def test_printed_as_one_would_write_it():
    assert repr(Conv(6, 5, padding=2) >> Tanh() >> AvgPool(2)) == "Conv(6, 5, padding=2) >> Tanh() >> AvgPool(2)"
    assert repr(a >> c * 3 >> b) == "Conv(8, 1) >> ReLU() * 3 >> Conv(8, 3, padding=1)"
    assert repr((a | b >> c) >> c) == "(Conv(8, 1) | Conv(8, 3, padding=1) >> ReLU()) >> ReLU()"
    assert repr(Residual(b, Identity())) == "Residual(Conv(8, 3, padding=1))"


def test_combining_is_associative_and_copies_are_spliced_in():
    assert (a >> b) >> c == a >> (b >> c) == Chain(a, b, c)
    assert (a | b) | c == Concat(a, b, c)
    assert (a >> c) * 2 == 2 * (a >> c) == a >> c >> a >> c
    assert a * 1 == Chain(a) != a


def test_what_means_the_same_is_equal():
    assert Conv(np.int64(6), (5, 5), stride=[2, 2], padding=((1, 1), (1, 1))) == Conv(6, 5, stride=2, padding=1)
    assert Conv(6, 5, padding="valid") == Conv(6, 5)
    assert type(Conv(np.int32(6), 5).channels) is int
    assert Conv(6, 5) != Conv(6, 5, bias=False) and Conv(6, 5) != Dense(6) and ReLU() != Tanh()
    assert Concat(left=a, right=b) != Concat(a, b) and Concat(a, b) != Sum(a, b)
    assert len({Conv(6, 5), Conv(6, 5), a >> b, a >> b}) == 2


@pytest.mark.parametrize("spec", [Conv(6, 5), a >> b, a | b, Residual(b), Scope(x=a), Aux(a), Share("k", a)], ids=repr)
def test_a_spec_does_not_change(spec):
    for name in ("parts", "branches", "channels", "body", "new"):
        with pytest.raises(AttributeError):
            setattr(spec, name, 3)


@pytest.mark.parametrize(("make", "kind", "text"), [
    (lambda: a >> b + c, TypeError, "+ does not combine layers: Python binds + before >>, so `a >> b + c` would mean a >> (b + c). "
                                    "To add outputs write Sum(a >> b, c) or Residual(body, shortcut); for one after another write a >> b"),
    (lambda: 1 + a, TypeError, "+ does not combine layers"),
    (lambda: a(np.zeros((1, 8, 8, 1))), TypeError, "Conv is a description and holds no weights. Build a model first: "
                                                   "model = spec.build((28, 28, 1)), then model(x)"),
    (lambda: (a >> c)(3), TypeError, "Chain is a description"),
    (lambda: a >> ReLU, TypeError, "the right side of >> must be a layer, got the class ReLU. Make one: ReLU(…)"),
    (lambda: ReLU >> a, TypeError, "the left side of >> must be a layer, got the class ReLU. Make one: ReLU(…)"),
    (lambda: a | ReLU, TypeError, "the right side of | must be a layer, got the class ReLU. Make one: ReLU(…)"),
    (lambda: a >> 3, TypeError, "the right side of >> must be a layer such as ReLU() or Conv(6, 5), got 3 of type int"),
    (lambda: Scope(conv1=ReLU), TypeError, "Scope(conv1=…) must be a layer, got the class ReLU. Make one: ReLU(…)"),
    (lambda: Residual(a, None), TypeError,
     "the shortcut of a Residual must be a layer such as ReLU() or Conv(6, 5), got None of type NoneType"),
    (lambda: Scope(), TypeError, "Scope needs at least one part"),
    (lambda: Chain(), TypeError, "Chain needs at least one part"),
    (lambda: Concat(), TypeError, "Concat needs at least one branch"),
    (lambda: a * 0, ValueError, "block * copies: copies must be at least 1, got 0"),
    (lambda: a * 1.5, TypeError, "block * copies: copies must be an integer, got 1.5 of type float"),
    (lambda: a * 10 ** 9, ValueError, "block * 1000000000: a spec holds at most 20,000 layers, and this would be 1,000,000,000"),
    (lambda: Scope(**{"a.b": a}), ValueError, "Scope: a name must be letters, digits and _, got 'a.b'"),
    (lambda: Share("", a), ValueError, "Share: key must be a path of letters, digits and _ with dots between, got ''"),
    (lambda: Share("k", a >> Share("k", b)), ValueError, "Share 'k' contains itself"),
    (lambda: Aux(a, weight="x"), TypeError, "Aux: weight must be a number, got 'x' of type str"),
    (lambda: Conv(0, 5), ValueError, "Conv: channels must be at least 1, got 0"),
    (lambda: Conv(6, 5, stride=0), ValueError, "Conv: stride must be at least 1, got 0"),
    (lambda: Conv(6, (5, 5, 5)), ValueError, "Conv: kernel_size must be one integer or two (rows, columns), got (5, 5, 5)"),
    (lambda: Conv(6, 2.5), TypeError, "Conv: kernel_size must be an integer, got 2.5 of type float"),
    (lambda: Conv(6, 5, padding="full"), ValueError, "Conv: padding must be integers, 'same' or 'valid', got 'full'"),
    (lambda: Conv(6, 5, padding=-1), ValueError, "Conv: padding must be at least 0, got -1"),
    (lambda: Conv(6, 5, bias=1), TypeError, "Conv: bias must be True or False, got 1"),
    (lambda: Conv(True, 5), TypeError, "Conv: channels must be an integer, got True"),
    (lambda: Conv(10 ** 9, 5), ValueError, "Conv: channels must be at most 16,777,216, got 1,000,000,000"),
    (lambda: Conv(6, 5, init="he"), TypeError, "Conv: init must be an initialiser such as HeNormal() or Constant(0.0), got 'he'"),
    (lambda: Dropout(1.0), ValueError, "Dropout: rate must be below 1, got 1.0"),
    (lambda: Dropout("half"), TypeError, "Dropout: rate must be a number, got 'half' of type str"),
    (lambda: BatchNorm(epsilon=0), ValueError, "BatchNorm: epsilon must be above 0, got 0"),
    (lambda: LpPool(2, float("inf")), ValueError, "LpPool: p must be finite, got inf"),
    (lambda: DistancePool(2, weights=[[1, 2], [3]]), ValueError,
        "DistancePool: the rows of weights must be equally long, got [[1, 2], [3]]"),
    (lambda: DistancePool(2, weights=[0, 0]), ValueError, "DistancePool: weights must not be negative and not all 0, got [0, 0]"),
    (lambda: Pad("same"), ValueError, "Pad: padding must be integers, got 'same'"),
    (lambda: Pad(1, "wrap"), ValueError, "Pad: mode must be 'constant', 'edge' or 'reflect', got 'wrap'"),
    (lambda: Aux(Dense(3), weight=-1), ValueError, "Aux: weight must be at least 0, got -1"),
    (lambda: Reshape((0, 3)), ValueError, "Reshape: a length must be at least 1, got 0"),
])
def test_what_is_wrong_is_said(make, kind, text):
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value).startswith(text)


def test_nesting_has_a_limit():
    spec = a
    with pytest.raises(ValueError, match="Scope: specs nest at most 100 deep"):
        for _ in range(200):
            spec = Scope(inner=spec)
