"""CUDA kernels of reduce/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.reduce import cuda as kernels
from tinygradconv.kernels.reduce import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, KernelFault

from .mutants import mutant

DEVICE = EmulatedDevice()
OPS = ["sum", "prod", "max", "min", "any", "all"]
LONG = [((3, 700), (1,)), ((700, 3), (0,)), ((5, 300, 2), (1,)), ((2, 30, 2, 31), (1, 3)), ((4500,), (0,))]
SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@st.composite
def arrays(draw, dtype=np.float32):
    """An array of a few axes, lying in memory in some order."""
    shape = draw(SHAPES)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(-9, 9, shape).astype(dtype)
    return values.transpose(draw(st.permutations(range(len(shape)))))


def reduced(made, x, op, axes, dtype):
    y = DEVICE.empty([1 if axis in axes else n for axis, n in enumerate(x.shape)], dtype)
    made.reduce(DEVICE, x, y, op, axes)
    return y


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from(OPS), st.sampled_from([np.float32, np.float64, np.int32, np.int64]))
def test_reduce(data, op, dtype):
    x = data.draw(arrays(dtype))
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, x.ndim - 1)))))
    if op == "prod":
        x = np.sign(x) + x * 0
    result = bool if op in ("any", "all") else dtype
    y = reduced(kernels, x, op, axes, result)
    expected = np.empty(y.shape, result)
    reference.reduce(x, expected, op, axes)
    assert (y == expected).all()


@settings(max_examples=10, deadline=None)
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_a_mean_is_the_sum_divided(data, dtype):
    x = data.draw(arrays(dtype))
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, x.ndim - 1)))))
    count = np.prod([x.shape[axis] for axis in axes], dtype=dtype)
    assert (reduced(kernels, x, "mean", axes, dtype) == x.sum(axes, keepdims=True) / count).all()


@pytest.mark.parametrize("shape, axes", LONG)
def test_long_reductions_are_made_in_parts(shape, axes):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    exact = x.sum(axes, dtype=np.float64, keepdims=True)
    np.testing.assert_allclose(reduced(kernels, x, "sum", axes, np.float32), exact, rtol=0, atol=1e-5)
    assert (reduced(kernels, x, "max", axes, np.float32) == x.max(axes, keepdims=True)).all()
    count = np.float32(x.size // exact.size)
    assert (reduced(kernels, x, "mean", axes, np.float32) == reduced(kernels, x, "sum", axes, np.float32) / count).all()


def test_nan_is_the_largest_and_the_smallest():
    x = np.zeros((2, 40), np.float32)
    x[1, 33] = np.nan
    for op in ("max", "min"):
        y = reduced(kernels, x, op, (1,), np.float32)
        assert y[0, 0] == 0 and np.isnan(y[1, 0])


def test_nothing_is_reduced_to_what_changes_nothing():
    x = np.zeros((2, 0), np.float32)
    assert np.isnan(reduced(kernels, x, "mean", (1,), np.float32)).all()
    assert (reduced(kernels, x, "sum", (1,), np.float32) == 0).all() and (reduced(kernels, x, "prod", (1,), np.float32) == 1).all()
    with pytest.raises(ValueError, match="max of nothing"):
        reduced(kernels, x, "max", (1,), np.float32)
    assert reduced(kernels, x, "max", (0,), np.float32).shape == (1, 0)


@settings(max_examples=12, deadline=None)
@given(st.data(), st.sampled_from(["argmax", "argmin"]), st.sampled_from([np.float32, np.int64]))
def test_arg_reduce_takes_the_first(data, op, dtype):
    x = data.draw(arrays(dtype))
    axis = data.draw(st.integers(0, x.ndim - 1))
    if dtype == np.float32 and data.draw(st.booleans()):
        x[tuple(n // 2 for n in x.shape)] = np.nan
    y = DEVICE.empty([1 if i == axis else n for i, n in enumerate(x.shape)], np.int64)
    expected = np.empty_like(y)
    kernels.arg_reduce(DEVICE, x, y, op, axis)
    reference.arg_reduce(x, expected, op, axis)
    assert (y == expected).all()


def test_arg_reduce_of_a_long_line():
    x = np.random.default_rng(1).integers(0, 5, (3, 200)).astype(np.float32)
    y = DEVICE.empty((3, 1), np.int64)
    kernels.arg_reduce(DEVICE, x, y, "argmax", 1)
    assert (y == x.argmax(1, keepdims=True)).all()


@settings(max_examples=6, deadline=None)
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_the_ways_back(data, dtype):
    x = np.ascontiguousarray(data.draw(arrays(dtype)) // 4)                       # many are equal, and many 0
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, x.ndim - 1)))))
    if data.draw(st.booleans()):
        x[tuple(n // 2 for n in x.shape)] = np.nan
    y = np.max(x, axis=axes, keepdims=True)
    g = np.arange(1, y.size + 1, dtype=dtype).reshape(y.shape)
    for name, arguments in ("extreme_backward", (g, x, y)), ("prod_backward", (g, x)):
        dx, expected = DEVICE.empty(x.shape, dtype), np.empty_like(x)
        getattr(kernels, name)(DEVICE, *arguments, dx, axes)
        getattr(reference, name)(*arguments, expected, axes)
        np.testing.assert_allclose(dx, expected, rtol=1e-6)


def test_the_ways_back_along_a_long_line():
    x, g = np.ones((2, 70), np.float32), np.array([[3], [5]], np.float32)
    x[0, 40:], x[1, 69] = 2, 7
    most, product = DEVICE.empty(x.shape, np.float32), DEVICE.empty(x.shape, np.float32)
    kernels.extreme_backward(DEVICE, g, x, x.max(1, keepdims=True), most, (1,))
    kernels.prod_backward(DEVICE, g, x, product, (1,))
    assert (most[0, 40], most[1, 69], np.count_nonzero(most)) == (3, 5, 2)
    assert (product[0, :40] == 3 * 2.0**30).all() and (product[0, 40:] == 3 * 2.0**29).all() and product[1, 69] == 5


@settings(max_examples=10, deadline=None)
@given(st.data(), st.booleans())
def test_cumulative_sum(data, reverse):
    x = data.draw(arrays(np.float64))
    axis = data.draw(st.integers(0, x.ndim - 1))
    y, expected = DEVICE.empty(x.shape, np.float64), np.empty(x.shape)
    kernels.cumulative_sum(DEVICE, x, y, axis, reverse)
    reference.cumulative_sum(x, expected, axis, reverse)
    assert (y == expected).all()


MUTANTS = {
    "no barrier before the tree": ("        held[t] = total\n        cuda.syncthreads()\n", "        held[t] = total\n", KernelFault),
    "one value too many": ("min(R, first + part)", "min(R + 1, first + part)", (KernelFault, AssertionError)),
    "one output too many": ("if lane == 0 and i < size:\n            y[cuda", "if lane == 0 and i <= 6:\n            y[cuda", KernelFault),
    "a tree that stops early": ("for step in range(halvings)", "for step in range(halvings - 1)", AssertionError),
    "parts that overlap": ("first = cuda.blockIdx.y * part", "first = cuda.blockIdx.y * (part - 1)", AssertionError),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    old, new, fault = MUTANTS[name]
    made = mutant(kernels, old, new)
    x = np.arange(1, 5 * 600 + 1, dtype=np.float64).reshape(600, 5)
    with pytest.raises(fault):
        assert (reduced(made, x, "sum", (0,), np.float64) == x.sum(0)).all()
