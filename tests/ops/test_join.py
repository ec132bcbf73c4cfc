"""Tensors put together, taken apart and padded, against NumPy (values) and PyTorch (derivatives)."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal, shapes, some
from tinygradconv.ops import join as ops
from tinygradconv.tensor import Tensor


@given(shape=some.filter(len), data=st.data())
def test_concat_and_stack_agree_with_torch(shape, data):
    torch = pytest.importorskip("torch")
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    several = [[data.draw(st.integers(0, 3)) if i == axis % len(shape) else n for i, n in enumerate(shape)] for _ in range(3)]
    assert_parity(lambda *xs: ops.concat([x * x for x in xs], axis), lambda *xs: torch.cat([x * x for x in xs], axis), normal(*several))
    assert_parity(lambda *xs: ops.stack([x * x for x in xs], axis), lambda *xs: torch.stack([x * x for x in xs], axis),
                  normal(shape, shape))


@given(shape=shapes.filter(len), data=st.data())
def test_split_and_unstack_are_numpy_s_and_views(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    (x,) = normal(shape)
    n = shape[axis]
    cuts = data.draw(st.lists(st.integers(-n, n + 2), max_size=3))
    sections = data.draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0] or [2]))
    for how in (cuts, sections):
        for got, expected in zip(ops.split(x, how, axis), np.split(x, how, axis), strict=True):
            close(got, expected)
    for got, i in zip(ops.unstack(x, axis), range(n), strict=True):
        close(got, x.take(i, axis))


def test_split_and_unstack_pass_gradcheck():
    x = np.arange(6.0).reshape(2, 3)
    tgc.gradcheck(lambda x: ops.split(x ** 3, [1], 1)[1], [x])
    tgc.gradcheck(lambda x: ops.unstack(x ** 3, 1)[2], [x])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@given(shape=some.filter(len), data=st.data())
def test_padding_is_numpy_s(mode, shape, data):
    (x,) = normal(shape)
    widths = [(data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))) for _ in shape]
    more = {"constant_values": 2.5} if mode == "constant" else {}
    close(ops.pad(x, widths, mode, **more), np.pad(x, widths, mode, **more))


@pytest.mark.parametrize(("mode", "theirs"), [("constant", "constant"), ("edge", "replicate"), ("reflect", "reflect")])
@given(widths=st.tuples(*[st.integers(0, 2)] * 4))
def test_gradients_of_padding_agree_with_torch(mode, theirs, widths):
    F = pytest.importorskip("torch").nn.functional
    left, right, top, bottom = widths
    assert_parity(lambda x: ops.pad(x * x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode), lambda x: F.pad(x * x, widths, theirs),
                  normal((2, 1, 4, 3)))


def test_ways_to_write_widths():
    x = np.arange(6.0).reshape(2, 3)
    for widths in (1, (1, 2), ((1, 0), (0, 3)), [(2, 1)]):
        close(ops.pad(x, widths), np.pad(x, widths))
    assert ops.pad(np.array([True]), 1, constant_values=True).tolist() == [True] * 3


@given(shape=shapes, data=st.data())
def test_roll_tile_and_repeat_agree_with_torch(shape, data):
    torch = pytest.importorskip("torch")
    (x,) = normal(shape)
    axis = data.draw(st.sampled_from([None, *range(-len(shape), len(shape))]))
    by, times = data.draw(st.integers(-7, 7)), data.draw(st.lists(st.integers(0, 3), max_size=5))
    assert_parity(lambda x: ops.roll(x * x, by, axis), lambda x: torch.roll(x * x, by, axis), [x])
    assert_parity(lambda x: ops.tile(x * x, times), lambda x: torch.tile(x * x, times), [x])
    assert_parity(lambda x: ops.repeat(x * x, 3, axis), lambda x: torch.repeat_interleave(x * x, 3, axis), [x])


def test_roll_takes_several_axes_and_dtypes_are_promoted():
    x = np.arange(12).reshape(3, 4)
    close(ops.roll(x, (1, -2), (0, 1)), np.roll(x, (1, -2), (0, 1)))
    assert ops.concat([np.ones(1, "float32"), np.ones(1, "float64")]).dtype == np.float64
    assert ops.concat([np.ones(1, "float32"), np.ones(1, "int64")]).dtype == np.float32


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda x: ops.concat([x, x[:, :1]]), ValueError,
     r"arrays\[1\] has shape \(2, 1\) but arrays\[0\] has \(2, 3\); all axes but axis 0 must agree"),
    (lambda x: ops.concat([]), ValueError, "at least one tensor"),
    (lambda x: ops.concat(7), ValueError, "must be a list of at least one tensor"),
    (lambda x: ops.concat([x[0, 0]]), ValueError, "no axes cannot be concatenated"),
    (lambda x: ops.concat([x, x], dim=1), TypeError, r"concat\(\) got 'dim'; tinygradconv follows NumPy: use axis="),
    (lambda x: ops.concat([x, x], axis=2), ValueError, "axis 2 is out of range"),
    (lambda x: ops.stack([x, x[0]]), ValueError, "all shapes must be equal"),
    (lambda x: ops.split(x, 2, 1), ValueError, "axis 1 of x has length 3, which is not 2 equal parts"),
    (lambda x: ops.pad(x, -1), ValueError, "pad: pad_width must be at least 0, got -1"),
    (lambda x: ops.pad(x, ((1, 1),) * 3), ValueError, "2 such pairs, one per axis"),
    (lambda x: ops.pad(x, 1, "wrap"), ValueError, "mode must be 'constant', 'edge' or 'reflect', got 'wrap'"),
    (lambda x: ops.pad(x[:0], 1, "edge"), ValueError, "has nothing to copy"),
    (lambda x: ops.roll(x, (1, 2), 0), ValueError, "must be of one length"),
    (lambda x: ops.repeat(x, -1), ValueError, "repeats must be at least 0"),
])
def test_errors_say_which_shapes(call, kind, message):
    with pytest.raises(kind, match=message):
        call(Tensor(np.zeros((2, 3))))
