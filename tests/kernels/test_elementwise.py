"""Values one by one: the compiled operations against NumPy however operands broadcast; e^x and tanh to the last bits; NaN and infinity."""
from __future__ import annotations

import importlib
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv._compiled import isa
from tinygradconv.kernels.elementwise import reference

from .test_vector_code import TILES
from .vector_code import disassemble, loops

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.elementwise_{variant}") for variant in isa.variants()}
UNARY = ["negative", "abs", "square", "exp", "tanh", "sigmoid", "relu", "nothing"]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "gate", "tanh_slope", "sigmoid_slope", "pow",
          "abs_slope", "square_slope", "expm1_slope", "log1p_slope", "sqrt_slope", "sin_slope", "cos_slope", "tan_slope", "sinh_slope",
          "cosh_slope", "silu_slope", "softplus_slope", "erf_slope", "normal_slope"]
TERNARY = ["divide_slope", "maximum_slope", "power_slope", "exponent_slope", "clip", "clip_slope", "scaled_difference"]
DTYPES = st.sampled_from([np.float32, np.float64])
EDGES = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 1e-40, -1e-40, 88.9, -104.5, 3e38, -3e38, 0.5, -20.0, 20.0, 710.0, -746.0]

pytestmark = pytest.mark.parametrize("variant", MODULES)


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_same(got, want, scale=0.0):
    """Equal to 8 roundings of the values, or of `scale` where a difference of such terms may have cancelled."""
    precision = np.finfo(want.dtype)
    np.testing.assert_allclose(got, want, rtol=8 * precision.eps, atol=max(precision.tiny, 8 * precision.eps * scale))


def shapes_like(shape):
    """What broadcasts to `shape`: some axes 1, some leading ones left out."""
    kept = st.tuples(*[st.sampled_from([n, 1]) for n in shape])
    return st.tuples(kept, st.integers(0, len(shape))).map(lambda drawn: drawn[0][drawn[1]:])


@st.composite
def broadcasts(draw):
    """(shape of y, shape of a, shape of b); y as the two of them make it."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 6, 7, 16, 33, 130]), max_size=4)))
    a, b = draw(shapes_like(shape)), draw(shapes_like(shape))
    return np.broadcast_shapes(a, b), a, b


@given(size=st.sampled_from([0, 1, 3, 4, 7, 8, 15, 16, 17, 63, 1023, 1024, 1025, 5000]), dtype=DTYPES, op=st.sampled_from(UNARY))
def test_functions_of_one_value_are_the_references(variant, size, dtype, op):
    x, got, want = normal(size, dtype) * 3, np.full(size, np.nan, dtype), np.full(size, np.nan, dtype)
    MODULES[variant].unary(x, got, op)
    reference.unary(x, want, op)
    assert_same(got, want)


@given(shapes=broadcasts(), dtype=DTYPES, op=st.sampled_from(BINARY))
def test_operands_broadcast_as_numpy_s(variant, shapes, dtype, op):
    shape, a, b = shapes
    a, b = normal(a, dtype), normal(b, dtype, 1)
    got, want = np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype)
    MODULES[variant].binary(a, b, got, op)
    reference.binary(a, b, want, op)
    terms = np.abs(a).max(initial=0) * (1 + np.square(b).max(initial=0))                        # of 1 − b², fused or not
    assert_same(got, want, scale=terms if op.endswith("slope") else 0)


@given(shapes=broadcasts(), dtype=DTYPES, op=st.sampled_from(TERNARY))
def test_three_operands_broadcast_as_numpy_s(variant, shapes, dtype, op):
    shape, b, c = shapes
    a, b, c = normal(shape, dtype), normal(b, dtype, 1), normal(c, dtype, 2)
    got, want = np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype)
    MODULES[variant].ternary(a, b, c, got, op)
    reference.ternary(a, b, c, want, op)
    assert_same(got, want)


@given(shapes=broadcasts(), shape=st.integers(0, 3), dtype=DTYPES)
def test_choices_broadcast_as_numpy_s(variant, shapes, shape, dtype):
    """Of y's shape is the condition, a, b or none of the three."""
    y, first, second = shapes
    x, z, holds = [normal(y if i == shape else part, dtype, i) for i, part in enumerate((first, second, second))]
    got, want = np.full(y, np.nan, dtype), np.full(y, np.nan, dtype)
    MODULES[variant].where(holds > 0, x, z, got)
    reference.where(holds > 0, x, z, want)
    np.testing.assert_array_equal(got, want)


def test_choices_of_other_kinds_are_the_references(variant):
    x, y = np.arange(12).reshape(3, 4), np.empty((3, 4), int)
    MODULES[variant].where(x.T.reshape(3, 4) % 2 == 0, x, np.int64(7).reshape(()), y)
    np.testing.assert_array_equal(y, np.where(x.T.reshape(3, 4) % 2 == 0, x, 7))
    wide = np.full((40_000,), np.nan, np.float32)
    MODULES[variant].where(np.arange(40_000) % 3 == 0, np.float32(1).reshape(()), np.zeros(80_000, np.float32)[::2], wide)
    assert wide.sum() == 13334


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", TERNARY)
def test_edges_of_three_values_are_numpy_s(variant, dtype, op):
    a, b, c = (grid.astype(dtype) for grid in np.meshgrid(np.float64([2.0, -0.5, np.nan, 0.0]), np.float64(EDGES), np.float64(EDGES)))
    got, want = np.empty_like(a), np.empty_like(a)
    MODULES[variant].ternary(a, b, c, got, op)
    reference.ternary(a, b, c, want, op)
    np.testing.assert_allclose(got, want, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", UNARY)
def test_edges_of_one_value_are_numpy_s(variant, dtype, op):
    x = np.array(EDGES, dtype)
    got, want = np.empty_like(x), np.empty_like(x)
    MODULES[variant].unary(x, got, op)
    reference.unary(x, want, op)
    np.testing.assert_allclose(got, want, rtol=8 * np.finfo(dtype).eps, atol=2e-45 if dtype == np.float32 else 0)
    np.testing.assert_array_equal(np.signbit(got[:2]), np.signbit(want[:2]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", BINARY)
def test_edges_of_two_values_are_numpy_s(variant, dtype, op):
    a, b = (grid.astype(dtype) for grid in np.meshgrid(np.float64(EDGES), np.float64(EDGES)))
    got, want = np.empty_like(a), np.empty_like(a)
    MODULES[variant].binary(a, b, got, op)
    reference.binary(a, b, want, op)
    np.testing.assert_allclose(got, want, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op, exact", [("exp", np.exp), ("tanh", np.tanh)])
def test_exponentials_are_right_to_the_last_places(variant, dtype, op, exact):
    """Against the x87's 64-bit mantissas, in units of the last place, subnormal results included."""
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("this processor has no wider float to compare with")
    random = np.random.default_rng(0)
    limit = 88.7 if dtype == np.float32 else 709.7
    x = np.concatenate([random.uniform(-limit * 1.15, limit, 50_000), random.standard_normal(50_000) * 2,
                        10.0 ** random.uniform(-37, 0, 20_000) * random.choice([-1, 1], 20_000)]).astype(dtype)
    got = np.empty_like(x)
    MODULES[variant].unary(x, got, op)
    want = exact(x.astype(np.longdouble))
    units = np.abs(got - want) / np.spacing(np.abs(want.astype(dtype))).astype(np.longdouble)
    assert units.max() <= (1.5 if op == "exp" else 3)


def test_integers_and_views_go_to_numpy(variant):
    whole = np.arange(6).reshape(2, 3)
    got = np.empty((2, 3), whole.dtype)
    MODULES[variant].binary(whole, whole[:1], got, "add")
    np.testing.assert_array_equal(got, whole + whole[:1])
    x, y = normal((40, 30), np.float32), np.empty((30, 40), np.float32)
    MODULES[variant].unary(x.T, y, "square")
    np.testing.assert_array_equal(y, x.T ** 2)
    MODULES[variant].binary(x.T, y, y, "multiply")
    np.testing.assert_allclose(y, x.T ** 3, rtol=1e-6)
    truth = np.empty(40, bool)
    MODULES[variant].unary(x[:, 0], truth, "isnan")
    MODULES[variant].binary(x[:, 0], np.float32(0) * x[:, 1], truth, "greater")
    np.testing.assert_array_equal(truth, x[:, 0] > 0)
    with pytest.raises(ValueError, match="broadcast"):
        MODULES[variant].binary(x, x[:, :7].copy(), x.copy(), "add")


@given(shape=st.lists(st.sampled_from([1, 2, 3, 7]), max_size=4).map(tuple),
       kinds=st.tuples(*[st.sampled_from(["f4", "f8", "i8", "?"])] * 2),
       data=st.data())
def test_copies_go_where_they_are_sent_however_both_lie(variant, shape, kinds, data):
    x = np.random.default_rng(0).integers(0, 9, data.draw(shapes_like(shape))).astype(kinds[0], order=data.draw(st.sampled_from("CF")))
    inside = (*[slice(-2, -2 - 2 * n, -2) if data.draw(st.booleans()) else slice(1, 1 + 2 * n, 2) for n in shape], ...)
    order = data.draw(st.permutations(range(len(shape))))
    got, want = (np.full([2 * n + 1 for n in shape], 77, kinds[1]).transpose(order).copy().transpose(np.argsort(order)) for _ in range(2))
    MODULES[variant].copy(x, got[inside])
    want[inside] = x
    np.testing.assert_array_equal(got, want)                                        # and nothing beside them is touched


@pytest.mark.parametrize("shape", [(64, 65), (3, 2000), (0, 5), ()])
def test_many_values_and_none_are_copied_too(variant, shape):
    x, y = normal(shape[::-1], np.float32).T, np.full(shape, 99, np.float32)
    MODULES[variant].copy(x, y)
    np.testing.assert_array_equal(x, y)


def test_what_does_not_broadcast_is_not_copied(variant):
    for from_shape, to_shape in ((3,), (4,)), ((2, 3), (3,)), ((3, 2), (2, 3)):
        with pytest.raises(ValueError, match="broadcast"):
            MODULES[variant].copy(np.zeros(from_shape, np.float32), np.zeros(to_shape, np.float32))


def test_thread_count_changes_no_bit(variant):
    x, row, column = normal((999, 77), np.float32), normal(77, np.float32, 1), normal((999, 1), np.float32, 2)
    results = []
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            filled = []
            for op, *arrays in ("exp", x), ("tanh", x), ("add", x, row), ("multiply", column, x), ("divide", x, np.float32(3).reshape(())):
                y = np.empty_like(x)
                getattr(MODULES[variant], "unary" if len(arrays) == 1 else "binary")(*arrays, y, op)
                filled.append(y.tobytes())
            results.append(filled)
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump, from GNU binutils, to read compiled code")
def test_the_exponential_is_a_loop_of_packed_arithmetic(variant):
    """A build check: seven multiply-adds of a polynomial in float, thirteen in double, on whole registers and without a call."""
    if variant not in TILES:
        pytest.skip("the check reads x86 code only")
    operation, register, _ = TILES[variant]
    found = loops(disassemble(MODULES[variant].__file__))
    for element, count in ("ps", 7), ("pd", 13):
        packed = [loop.packed(operation, element, register) for loop in found]
        assert max(packed) >= count, f"no loop with {count} packed {operation} {element} on {register}"
