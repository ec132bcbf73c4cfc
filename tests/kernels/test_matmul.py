"""matmul and dense: the reference against three loops, Cython against the reference."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels import ACTIVATIONS
from tinygradconv.kernels.matmul import reference

from .variants import TOLERANCE, TYPES, assert_close, poisoned, random, variants, workspace

COMPILED = variants("matmul")
SIZES = (0, 1, 5, 6, 7, 8, 9, 13, 16, 17, 33, 97)
TRANSPOSES = list(itertools.product((False, True), repeat=2))


def operands(B, M, K, N, transpose_a, transpose_b, dtype):
    """a and b as they lie, transposed or not."""
    return random(1, (B, K, M) if transpose_a else (B, M, K), dtype), random(2, (B, N, K) if transpose_b else (B, K, N), dtype)


def by_reference(a, b, shape, transposes):
    """What the NumPy definition fills."""
    y = poisoned(shape, a.dtype)
    reference.matmul(a, b, y, *transposes)
    return y


def by_cython(module, a, b, shape, transposes, kind, threads=2):
    """What a compiled variant fills."""
    module.set_threads(threads)
    y = poisoned(shape, TYPES[kind])
    module.matmul(a, b, y, *transposes)
    return y


@given(st.tuples(*(st.integers(0, 4),) * 4), st.sampled_from(TRANSPOSES))
def test_reference_is_three_nested_loops(sizes, transposes):
    B, M, K, N = sizes
    a, b = operands(*sizes, *transposes, np.float64)
    want = np.zeros((B, M, N))
    for n, i, j, k in itertools.product(range(B), range(M), range(N), range(K)):
        want[n, i, j] += (a[n, k, i] if transposes[0] else a[n, i, k]) * (b[n, j, k] if transposes[1] else b[n, k, j])
    assert_close(by_reference(a, b, (B, M, N), transposes), want, 1e-13)


@pytest.mark.parametrize("transposes", TRANSPOSES)
def test_two_matrices_are_a_batch_of_one(transposes):
    a, b = operands(1, 5, 7, 9, *transposes, np.float32)
    want = by_reference(a, b, (1, 5, 9), transposes)[0]
    np.testing.assert_array_equal(by_reference(a[0], b[0], (5, 9), transposes), want)
    for module in COMPILED:
        batch = by_cython(module, a, b, (1, 5, 9), transposes, "float")[0]
        np.testing.assert_array_equal(by_cython(module, a[0], b[0], (5, 9), transposes, "float"), batch)
        assert_close(batch, want, TOLERANCE["float"])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(B=st.sampled_from((0, 1, 2, 5)), sizes=st.tuples(*(st.sampled_from(SIZES),) * 3), transposes=st.sampled_from(TRANSPOSES))
def test_cython_is_the_reference_and_fills_everything(module, kind, B, sizes, transposes):
    a, b = operands(B, *sizes, *transposes, TYPES[kind])
    shape = (B, sizes[0], sizes[2])
    assert_close(by_cython(module, a, b, shape, transposes, kind), by_reference(a, b, shape, transposes), TOLERANCE[kind])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("transposes", TRANSPOSES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("sizes", [(1, 200, 600, 100), (1, 20, 417, 1030), (3, 301, 300, 40), (1, 290, 512, 512)])
def test_long_sums_and_many_blocks_give_the_same_bits_for_any_threads(sizes, module, transposes, kind):
    B, M, _, N = sizes
    a, b = operands(*sizes, *transposes, TYPES[kind])
    one, two, three = (by_cython(module, a, b, (B, M, N), transposes, kind, threads) for threads in (1, 2, 3))
    assert_close(one, by_reference(a, b, (B, M, N), transposes), TOLERANCE[kind])
    assert one.tobytes() == two.tobytes() == three.tobytes()


def dense_by_reference(x, w, bias, activation):
    """What the NumPy definition fills."""
    y = poisoned((x.shape[0], w.shape[1]), x.dtype)
    reference.dense(x, w, bias, y, activation)
    return y


def dense_by_cython(module, x, w, bias, activation, kind, threads=2):
    """What a compiled variant fills, of weights that it has packed."""
    module.set_threads(threads)
    y, packed = poisoned((x.shape[0], w.shape[1]), TYPES[kind]), workspace(module.dense_packed_bytes(w, activation))
    module.dense_pack(w, packed, activation)
    module.dense(x, packed, bias, y, activation)
    at_once = poisoned(y.shape, TYPES[kind])
    module.dense(x, w, bias, at_once, activation)
    assert at_once.tobytes() == y.tobytes()                          # weights as they are give the same bits
    return y


@given(sizes=st.tuples(*(st.integers(0, 4),) * 3), activation=st.sampled_from(sorted(ACTIVATIONS.values())), with_bias=st.booleans())
def test_dense_reference_is_a_product_a_sum_and_an_activation(sizes, activation, with_bias):
    M, K, N = sizes
    x, w, bias = random(1, (M, K), np.float64), random(2, (K, N), np.float64), random(3, (N,), np.float64)
    want = np.zeros((M, N))
    for i, j in itertools.product(range(M), range(N)):
        z = sum(x[i, k] * w[k, j] for k in range(K)) + (bias[j] if with_bias else 0)
        want[i, j] = (z, max(z, 0), np.tanh(z))[activation]
    assert_close(dense_by_reference(x, w, bias if with_bias else None, activation), want, 1e-13)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(sizes=st.tuples(*(st.sampled_from((*SIZES, 300)),) * 3), activation=st.sampled_from(sorted(ACTIVATIONS.values())),
       with_bias=st.booleans())
def test_dense_is_its_reference_and_fills_everything(module, kind, sizes, activation, with_bias):
    M, K, N = sizes
    x, w, bias = random(1, (M, K), TYPES[kind]), random(2, (K, N), TYPES[kind]), random(3, (N,), TYPES[kind]) if with_bias else None
    assert_close(dense_by_cython(module, x, w, bias, activation, kind), dense_by_reference(x, w, bias, activation), TOLERANCE[kind])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_dense_gives_an_image_the_same_bits_alone_and_in_a_batch_and_for_any_threads(module, kind):
    x, w, bias = random(1, (300, 600), TYPES[kind]), random(2, (600, 150), TYPES[kind]), random(3, (150,), TYPES[kind])
    one, two, three = (dense_by_cython(module, x, w, bias, 2, kind, threads) for threads in (1, 2, 3))
    assert one.tobytes() == two.tobytes() == three.tobytes()
    for rows in (slice(0, 1), slice(5, 13), slice(100, 200)):
        assert dense_by_cython(module, x[rows].copy(), w, bias, 2, kind).tobytes() == one[rows].tobytes()


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_dense_refuses_weights_packed_into_too_little(module):
    x, w, y = random(1, (2, 3), np.float32), random(2, (3, 9), np.float32), poisoned((2, 9), np.float32)
    size = module.dense_packed_bytes(w, 0)
    with pytest.raises(ValueError, match=f"dense: packed must have at least {size} bytes, got {size - 1}. Size it with dense_packed_bytes"):
        module.dense(x, workspace(size)[:-1], None, y, 0)


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_infinity_in_the_first_weight_stays_in_its_column(module):
    a, b = operands(1, 7, 5, 9, False, False, np.float32)
    b[0, 0, 0] = np.inf
    y = by_cython(module, a, b, (1, 7, 9), (False, False), "float")
    assert np.isinf(y[..., 0]).all() and np.isfinite(y[..., 1:]).all()


def test_torch_computes_the_same():
    torch = pytest.importorskip("torch")
    for transposes in TRANSPOSES:
        a, b = operands(2, 30, 70, 50, *transposes, np.float64)
        left, right = (torch.from_numpy(m).transpose(1, 2) if t else torch.from_numpy(m) for m, t in zip((a, b), transposes))
        assert_close(by_cython(COMPILED[0], a, b, (2, 30, 50), transposes, "double"), (left @ right).numpy(), 1e-13)
