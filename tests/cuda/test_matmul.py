"""The matrix product of CUDA kernels, emulated, against the reference back end; and what is found when it is a little wrong."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda import core_tiles, engines, main_loop
from tinygradconv.kernels.cuda.core_tiles import CoreShape
from tinygradconv.kernels.cuda.language import float64
from tinygradconv.kernels.matmul import cuda as kernels
from tinygradconv.kernels.matmul import reference, tiled

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, KernelFault, Race

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
FLOATS = st.sampled_from([np.float32, np.float64])


def check(run, batch, M, N, K, transpose_a, transpose_b, dtype, seed=0):
    """tiled.run, or a mutant's, against the definition in float64: an error of K roundings of sums of |a| |b|."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((batch, K, M) if transpose_a else (batch, M, K)).astype(dtype)
    b = rng.standard_normal((batch, N, K) if transpose_b else (batch, K, N)).astype(dtype)
    y, exact, most = DEVICE.empty((batch, M, N), dtype), np.empty((batch, M, N)), np.empty((batch, M, N))
    run(DEVICE, a, b, None, y, transpose_a, transpose_b, 0)
    reference.matmul(a.astype(np.float64), b.astype(np.float64), exact, transpose_a, transpose_b)
    reference.matmul(np.abs(a).astype(np.float64), np.abs(b).astype(np.float64), most, transpose_a, transpose_b)
    assert (np.abs(y - exact) <= (K + 1) * np.finfo(dtype).eps * most).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 2), st.integers(1, 34), st.integers(1, 34), st.integers(0, 18), st.booleans(), st.booleans(), FLOATS)
def test_matmul_is_the_references(batch, M, N, K, transpose_a, transpose_b, dtype):
    check(tiled.run, batch, M, N, K, transpose_a, transpose_b, dtype)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_rows_of_whole_vectors_are_loaded_as_such(transpose_a, transpose_b, monkeypatch):
    seen, original = [], tiled.product
    monkeypatch.setattr(tiled, "product", lambda *constants: seen.append(constants) or original(*constants))
    check(tiled.run, 1, 36, 20, 12, transpose_a, transpose_b, np.float32)
    assert seen == [("float32", CoreShape(32, 32, 4, 4, 4), not transpose_a, transpose_b, 4)]


@pytest.mark.parametrize("mode, vector, shape", [(*key, shape) for key, shapes in tiled.SHAPES.items() for shape, _ in shapes
                                                 if key[0].startswith("float")])
def test_every_tile(mode, vector, shape, monkeypatch, planned_anew):
    monkeypatch.setattr(tiled, "SHAPES", {(mode, vector): ((shape, 1.0),)})
    check(tiled.run, 1, shape[0] // 2 + 4, 4, 4 if vector > 1 else 3, False, False, np.dtype(mode))


@pytest.fixture
def planned_anew():
    """What is planned for other tiles, in another test, is forgotten."""
    tiled.planned.cache_clear()
    yield
    tiled.planned.cache_clear()


@pytest.fixture
def in_parts(planned_anew, monkeypatch):
    """k is cut after every 16."""
    monkeypatch.setattr(engines, "PART", 16)
    monkeypatch.setattr(engines, "UNIT", 16)


def test_a_long_k_is_cut_and_its_parts_added(in_parts):
    assert tiled.planned("float32", 1, 1, 5, 6, 50)[1:] == (2, 32)
    check(tiled.run, 2, 3, 2, 50, False, False, np.float32)
    check(tiled.run, 1, 3, 2, 65, True, True, np.float64)


def test_the_plan_is_made_of_shapes():
    plan = tiled.planned
    assert plan("float32", 4, 1, 4096, 4096, 4096) == (CoreShape(128, 128, 8, 8, 1), 1, 4096)
    assert plan("float32", 1, 1, 4096, 4096, 4096).shape.rows == 64
    assert plan("float32", 4, 1, 64, 64, 64).shape.rows == 32
    shape, parts, part = plan("float32", 1, 1, 16, 10, 100_000)
    assert parts > 100 and part % engines.UNIT == 0 and (parts - 1) * part < 100_000 <= parts * part
    for K in (0, 1, 63, 64, 65, 255, 256, 257, 511, 512, 513, 4095):
        _, parts, part = plan("float32", 1, 1, 3, 3, K)
        assert parts >= 1 and part % engines.UNIT == 0 and max(K - 1, 0) // part == parts - 1


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


def test_dense_adds_its_bias_once_where_k_is_cut(in_parts):
    x, w, bias = np.ones((3, 40), np.float32), np.ones((40, 5), np.float32), np.arange(5, dtype=np.float32) - 42
    y = DEVICE.empty((3, 5), np.float32)
    kernels.dense(DEVICE, x, w, bias, y, 1)
    assert (y == np.maximum(40 + bias, 0)).all()


def test_relu_lets_nan_through():
    x, y = np.array([[np.nan], [1]], np.float32), DEVICE.empty((2, 1), np.float32)
    kernels.dense(DEVICE, x, np.ones((1, 1), np.float32), None, y, 1)
    assert np.isnan(y[0, 0]) and y[1, 0] == 1


LAST_BARRIER = """                put_b(now + second, held_b)
                cuda.syncthreads()
"""
# (the module, its text, what stands there instead, what is found)
MUTANTS = {
    "no barrier before the first strips are read": (main_loop, "        cuda.syncthreads()\n        now = 0", "        now = 0",
                                                    (KernelFault, Race)),
    "no barrier in the loop": (main_loop, LAST_BARRIER, LAST_BARRIER.splitlines(keepends=True)[0], KernelFault),
    "one half of shared memory only": (main_loop, "now = half - now", "now = 0", Race),
    "a barrier that some threads miss": (main_loop, LAST_BARRIER, LAST_BARRIER.replace("cuda.", "if cuda.threadIdx.x < 8: cuda."),
                                         KernelFault),
    "one row too many is loaded": (tiled, "if line < lines else", "if line <= lines else", (InvalidAddress, AssertionError)),
    "one step of k too many is loaded": (tiled, ">= 0 and k < end", ">= 0 and k <= end", (InvalidAddress, AssertionError)),
    "one row too many is stored": (tiled, "if i < M and j < N", "if i <= M and j < N", (InvalidAddress, Race)),
    "one column too many is stored": (tiled, "if i < M and j + 1 < N", "if i < M and j < N", (InvalidAddress, Race)),
    "one row too few is stored": (tiled, "if i < M and j < N", "if i < M - 1 and j < N", AssertionError),
    "tiles that overlap": (tiled, "i * high, j * wide", "i * (high - 1), j * wide", (Race, AssertionError)),
}
MODULES = main_loop, core_tiles, engines, tiled


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    module, old, new, fault = MUTANTS[name]
    change = module, old, new, Path(module.__file__).read_text().count(old)
    with pytest.raises(fault):
        check(mutant_of_several(MODULES, change).run, 1, 33, 5, 17, False, False, np.float32)


def test_the_kernel_is_right_where_its_mutants_are_not():
    check(mutant_of_several(MODULES).run, 1, 33, 5, 17, False, False, np.float32)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made) and {c[0] for template, c in made if template is tiled.product} == {mode for mode, _ in tiled.SHAPES}
    assert (tiled.product, ("float32", CoreShape(128, 128, 8, 8, 1), True, False, 4)) in made and (tiled.add_parts, (float64,)) in made
