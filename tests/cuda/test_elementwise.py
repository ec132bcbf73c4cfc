"""CUDA kernels of elementwise/, emulated, against the reference back end: every op, every way that operands lie."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda.host import axis_arguments, is_contiguous, merged
from tinygradconv.kernels.elementwise import cuda as kernels
from tinygradconv.kernels.elementwise import functions, reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, KernelFault

from .mutants import mutant, mutant_of_several

DEVICE = EmulatedDevice()
SMALL = mutant_of_several([kernels], (kernels, "THREADS, EACH = 256, 4", "THREADS, EACH = 64, 4", 1))       # less is to be emulated
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.0, 1e-3, 88.0, -104.0, 1e20, np.inf, -np.inf, np.nan]


def same(y, expected, dtype):
    """Equal to a few roundings, and NaN and infinity where they belong."""
    if np.dtype(dtype).kind != "f" or expected.dtype == bool:
        assert (y == expected).all()
    else:
        np.testing.assert_allclose(y, expected, rtol=16 * np.finfo(dtype).eps, atol=16 * np.finfo(dtype).smallest_subnormal)


def run(name, operands, dtype, op=None, made=SMALL):
    """The kernel and its definition on the same operands."""
    shape = np.broadcast_shapes(*[x.shape for x in operands])
    y, expected = DEVICE.empty(shape, dtype), np.empty(shape, dtype)
    more = () if op is None else (op,)
    getattr(made, name)(DEVICE, *operands, y, *more)
    getattr(reference, name)(*operands, expected, *more)
    return y, expected


def pairs(dtype):
    """Every pair of special numbers, as two arrays."""
    a, b = np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype))
    return a.ravel(), b.ravel()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", reference.UNARY)
def test_unary(op, dtype):
    x = np.concatenate([np.array(SPECIAL), np.linspace(-3, 3, 21)]).astype(dtype)
    if op == "normal_cdf":                                      # at −7 its condition number is 49: what rounding x / √2 costs
        x = x[~(x < -3)]
    result = bool if op in functions.TESTS else dtype
    same(*run("unary", (x,), result, op), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", reference.BINARY)
def test_binary(op, dtype):
    result = bool if op in functions.COMPARISONS else dtype
    same(*run("binary", pairs(dtype), result, op), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", reference.TERNARY)
def test_ternary(op, dtype):
    a, b = pairs(dtype)
    for c in (0, 1, 2.5, -1):
        same(*run("ternary", (np.roll(a, 7), a, np.where(b > 5, dtype(c), b)), dtype, op), dtype)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers(dtype):
    a, b = (values.astype(dtype) for values in np.meshgrid([-7, -2, -1, 0, 1, 3, 12], [-5, -1, 0, 1, 2, 4]))
    for op in functions.WHOLE_UNARY:
        same(*run("unary", (a,), dtype, op), dtype)
    for op in functions.WHOLE_BINARY:
        same(*run("binary", (a, b), dtype, op), dtype)
    for op in functions.COMPARISONS:
        same(*run("binary", (a, b), bool, op), dtype)


def test_every_op_of_the_definition_has_a_kernel():
    assert {*functions.UNARY, *functions.TESTS} == set(reference.UNARY)
    assert {*functions.BINARY, *functions.COMPARISONS} == set(reference.BINARY) and set(functions.TERNARY) == set(reference.TERNARY)
    made = kernels.configurations()
    assert len(set(made)) == len(made)


@st.composite
def views(draw, shape, dtype=np.float32):
    """An array that broadcasts to `shape`, and lies in memory in some order, with gaps, backwards."""
    shape = tuple(draw(st.sampled_from([n, 1])) for n in shape)[draw(st.integers(0, len(shape))):]
    order = draw(st.permutations(range(len(shape))))
    gaps = tuple(draw(st.sampled_from([1, 1, 2])) for _ in shape)
    base = np.random.default_rng(draw(st.integers(0, 99))).standard_normal([shape[i] * gaps[i] for i in order]).astype(dtype)
    return base.transpose(np.argsort(order).astype(int))[(..., *(slice(None, None, draw(st.sampled_from([1, -1])) * gap) for gap in gaps))]


SHAPES = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@settings(max_examples=25, deadline=None)
@given(st.data(), SHAPES)
def test_operands_lie_as_they_like(data, shape):
    a, b = data.draw(views(shape)), data.draw(views(shape))
    same(*run("binary", (a, b), np.float32, "subtract"), np.float32)
    same(*run("where", (np.asarray(a > 0), a, b), np.float32), np.float32)
    same(*run("unary", (a,), np.float32, "exp"), np.float32)


@settings(max_examples=12, deadline=None)
@given(st.data(), SHAPES)
def test_copy_fills_any_view(data, shape):
    x = data.draw(views(shape))
    whole = np.full([2 * n for n in shape], -7, np.float64)
    y = whole[(..., *(slice(None, None, -2 if data.draw(st.booleans()) else 2) for _ in shape))]
    expected = whole.copy()
    SMALL.copy(DEVICE, x, y)
    backwards = [stride < 0 for stride in y.strides]
    part = expected[(..., *(slice(int(back), None, 2) for back in backwards))]
    part[(..., *(slice(None, None, -1 if back else 1) for back in backwards))] = x
    assert (whole == expected).all()


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.uint8, bool])
def test_copy_converts(dtype):
    x = np.array([0, 1, 2.9, 100.5, 0.5], np.float32)
    same(*run("copy", (x,), dtype), dtype)
    same(*run("copy", (x.astype(dtype),), np.float32), np.float32)
    same(*run("copy", (np.array([0, 1, 5], dtype),), bool), bool)


def test_more_than_a_block_and_nothing_at_all():
    x = np.arange(1100, dtype=np.float32)
    same(*run("binary", (x, x[:1]), np.float32, "add", kernels), np.float32)
    same(*run("unary", (x[:0],), np.float32, "exp"), np.float32)
    matrix = x[:30 * 30].reshape(30, 30)
    same(*run("binary", (matrix.T, matrix[0]), np.float32, "multiply"), np.float32)


def test_a_result_that_lies_scattered_is_filled_too():
    whole, x = np.zeros((4, 6), np.float32), np.arange(12, dtype=np.float32).reshape(4, 3)
    SMALL.unary(DEVICE, x, whole[:, ::2], "negative")
    assert (whole[:, ::2] == -x).all() and (whole[:, 1::2] == 0).all()


def test_in_place():
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    expected = np.exp(x)
    SMALL.unary(DEVICE, x, x, "exp")
    np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_operands_of_two_types_are_refused():
    with pytest.raises(TypeError, match="add takes operands of one dtype, got float32, float64"):
        kernels.binary(DEVICE, np.zeros(3, np.float32), np.zeros(3), np.zeros(3), "add")


def test_axes_are_merged_as_far_as_they_can_be():
    x = np.zeros((4, 1, 5, 6), np.float32)
    assert merged(x.shape, x) == ([120], [[1]])
    assert merged(x.shape, x, x[0, 0, 0]) == ([20, 6], [[6, 1], [0, 1]])
    assert merged((4, 5), x[:, 0, :, 0], np.zeros(())) == ([20], [[6], [0]])
    assert merged((), np.zeros(())) == ([1], [[0]])
    assert axis_arguments([20, 6], [[6, 1], [0, 1]]) == [2, 6, 1, 1, 1, 1, 1, 0, 0, 0, 0, 6, 1, 0, 0, 0, 0, 0]
    assert is_contiguous(x) and is_contiguous(x[1:2]) and not is_contiguous(x[..., :3]) and is_contiguous(x[:, :0, ::2])
    crooked = np.zeros((3,) * 14, np.int8)[(slice(None, None, 2),) * 14][(0,) * 7]
    with pytest.raises(ValueError, match="7 axes of .* cannot be walked as 6"):
        merged(crooked.shape, crooked)


STORE = "if i < size:\n                y[i] = f(n, held[k])"
MUTANTS = {
    "one element too many": (STORE, STORE.replace("<", "<="), 1, KernelFault),
    "two axes exchanged": ("n4, x0, x1, x2, x3, x4, x5)]", "n4, x1, x0, x2, x3, x4, x5)]", 2, (AssertionError, InvalidAddress)),
}


def test_mutants_are_found():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::-1, ::-1][:, :, :3]
    for old, new, count, fault in MUTANTS.values():
        made = mutant(kernels, old, new, count)
        y = DEVICE.empty(x.shape, np.float32)
        with pytest.raises(fault):
            made.unary(DEVICE, x, y, "negative")
            assert (y == -x).all()
