"""The matrix product of CUDA kernels, emulated, against the reference back end; and what is found when it is a little wrong."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda.language import float32, float64
from tinygradconv.kernels.matmul import cuda as kernels
from tinygradconv.kernels.matmul import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, KernelFault, Race

from .mutants import mutant

DEVICE = EmulatedDevice()
FLOATS = st.sampled_from([np.float32, np.float64])


def check(made, batch, M, N, K, transpose_a, transpose_b, dtype, seed=0):
    """made.matmul against the definition in float64: an error of K roundings of sums of |a| |b|."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((batch, K, M) if transpose_a else (batch, M, K)).astype(dtype)
    b = rng.standard_normal((batch, N, K) if transpose_b else (batch, K, N)).astype(dtype)
    y, exact, most = DEVICE.empty((batch, M, N), dtype), np.empty((batch, M, N)), np.empty((batch, M, N))
    made.matmul(DEVICE, a, b, y, transpose_a, transpose_b)
    reference.matmul(a.astype(np.float64), b.astype(np.float64), exact, transpose_a, transpose_b)
    reference.matmul(np.abs(a).astype(np.float64), np.abs(b).astype(np.float64), most, transpose_a, transpose_b)
    assert (np.abs(y - exact) <= (K + 1) * np.finfo(dtype).eps * most).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 2), st.integers(1, 34), st.integers(1, 34), st.integers(0, 18), st.booleans(), st.booleans(), FLOATS)
def test_matmul_is_the_references(batch, M, N, K, transpose_a, transpose_b, dtype):
    check(kernels, batch, M, N, K, transpose_a, transpose_b, dtype)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_whole_vectors_are_loaded_as_such(transpose_a, transpose_b, dtype, monkeypatch):
    seen = []
    monkeypatch.setattr(kernels, "product", lambda *constants: seen.append(constants[6]) or original(*constants))
    check(kernels, 1, 36, 20, 12, transpose_a, transpose_b, dtype)
    assert seen == [16 // np.dtype(dtype).itemsize]


original = kernels.product


@pytest.mark.parametrize("T, shape", [(T, shape) for T, shapes in kernels.SHAPES.items() for shape in shapes])
def test_every_tile(T, shape, monkeypatch):
    monkeypatch.setattr(kernels, "_shapes", lambda T, vector: (shape,))
    check(kernels, 1, shape[0] // 2 + 4, 4, 4, False, False, T.dtype.type)


def test_a_long_k_is_cut_and_its_parts_added(monkeypatch):
    monkeypatch.setattr(kernels, "PART", 20)
    assert kernels._plan(float32, 1, 1, 5, 6, 50)[3:] == (2, 32)
    check(kernels, 2, 3, 2, 50, False, False, np.float32)
    check(kernels, 1, 3, 2, 65, True, True, np.float64)


def test_the_plan_is_made_of_shapes():
    assert kernels._plan(float32, 4, 1, 4096, 4096, 4096) == (128, 8, 1, 1, 4096)
    assert kernels._plan(float32, 1, 1, 4096, 4096, 4096)[0] == 64
    assert kernels._plan(float32, 4, 1, 512, 512, 512)[:2] == (32, 4) and kernels._plan(float64, 2, 4, 512, 512, 64)[0] == 64
    tile, _, _, parts, part = kernels._plan(float32, 1, 1, 16, 10, 100_000)
    assert tile == 32 and parts > 100 and part % kernels.DEPTH == 0 and (parts - 1) * part < 100_000 <= parts * part
    for K in (0, 1, 15, 16, 17, 255, 256, 257, 511, 512, 513, 4095):
        *_, parts, part = kernels._plan(float32, 1, 1, 3, 3, K)
        assert parts >= 1 and part % kernels.DEPTH == 0 and (parts - 1) * part <= K <= parts * part


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 34), st.integers(1, 34), st.integers(0, 17), st.booleans(), st.sampled_from([0, 1, 2]), FLOATS)
@example(33, 3, 5, True, 2, np.float32)
def test_dense_is_the_references(M, O, K, with_bias, activation, dtype):
    rng = np.random.default_rng(M)
    x, w, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, O), (O,)))
    y, exact = DEVICE.empty((M, O), dtype), np.empty((M, O))
    kernels.dense(DEVICE, x, w, bias if with_bias else None, y, activation)
    reference.dense(x.astype(np.float64), w.astype(np.float64), bias.astype(np.float64) if with_bias else None, exact, activation)
    np.testing.assert_allclose(y, exact, rtol=0, atol=100 * np.finfo(dtype).eps)


def test_dense_adds_its_bias_once_where_k_is_cut(monkeypatch):
    monkeypatch.setattr(kernels, "PART", 16)
    x, w, bias = np.ones((3, 40), np.float32), np.ones((40, 5), np.float32), np.arange(5, dtype=np.float32) - 42
    y = DEVICE.empty((3, 5), np.float32)
    kernels.dense(DEVICE, x, w, bias, y, 1)
    assert (y == np.maximum(40 + bias, 0)).all()


def test_relu_lets_nan_through():
    x, y = np.array([[np.nan], [1]], np.float32), DEVICE.empty((2, 1), np.float32)
    kernels.dense(DEVICE, x, np.ones((1, 1), np.float32), None, y, 1)
    assert np.isnan(y[0, 0]) and y[1, 0] == 1


LAST_BARRIER = """                put_b(right, now, held_b)
                cuda.syncthreads()
"""
MUTANTS = {
    "no barrier before the first strips are read": ("        cuda.syncthreads()\n        now = 0", "        now = 0", KernelFault),
    "no barrier in the loop": (LAST_BARRIER, LAST_BARRIER.splitlines(keepends=True)[0], KernelFault),
    "one half of shared memory only": ("now = half - now", "now = 0", Race),
    "a barrier that some threads miss": (LAST_BARRIER, LAST_BARRIER.replace("cuda.", "if i0 + ti < M: cuda."), KernelFault),
    "one row too many is loaded": ("i < outers and kk < K", "i <= outers and kk < K", InvalidAddress),
    "one step of k too many is loaded": ("i < outers and kk < K", "i < outers and kk <= K", (InvalidAddress, AssertionError)),
    "one row too many is stored": ("if i < M and j < N", "if i <= M and j < N", (InvalidAddress, Race)),
    "one column too many is stored": ("if i < M and j < N", "if i < M and j <= N", (InvalidAddress, Race)),
    "one row too few is stored": ("if i < M and j < N", "if i < M - 1 and j < N", AssertionError),
    "tiles that overlap": ("place // columns * tile", "place // columns * (tile - 1)", (Race, AssertionError)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    old, new, fault = MUTANTS[name]
    with pytest.raises(fault):
        check(mutant(kernels, old, new), 1, 33, 5, 17, False, False, np.float32)


def test_the_kernel_is_right_where_its_mutants_are_not():
    check(kernels, 1, 33, 5, 17, False, False, np.float32)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made) and {c[0] for template, c in made if template is kernels.product} == {float32, float64}
    assert (kernels.product, (float32, 128, 8, 1, True, False, 4, False)) in made
