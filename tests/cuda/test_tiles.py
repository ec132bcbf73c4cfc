"""Tensor-core tiles and the matrix products made of them, emulated, against products of rounded operands; and where numbers lie."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda import engines, fragments, main_loop, staging, tiles
from tinygradconv.kernels.cuda.language import cuda, kernel
from tinygradconv.kernels.cuda.tiles import Shape
from tinygradconv.kernels.matmul import cuda as host
from tinygradconv.kernels.matmul import packed, reference, tiled

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, KernelFault, Race, emulate

from .mutants import mutant_of_several
from .rounding import check, normal

LARGE, SMALL = Shape(128, 128, 64, 32), Shape(64, 64, 32, 32)
PRECISIONS, FOURS = st.sampled_from(["bf16", "tf32"]), st.integers(1, 10).map(lambda n: 4 * n)


def multiply(made, precision, batch, M, N, K, transpose_a=False, transpose_b=False):
    """made.run on random operands, checked."""
    rng = np.random.default_rng(M * N + K)
    a = normal(rng, batch, *((K, M) if transpose_a else (M, K)))
    b = normal(rng, batch, *((N, K) if transpose_b else (K, N)))
    device = EmulatedDevice(precision)
    y = device.empty((batch, M, N), np.float32)
    made.run(device, a, b, None, y, transpose_a, transpose_b, 0)
    check(y, a.swapaxes(1, 2) if transpose_a else a, b.swapaxes(1, 2) if transpose_b else b, precision)


@settings(max_examples=3, deadline=None)
@given(FOURS, FOURS, st.integers(0, 9).map(lambda n: 4 * n), st.booleans(), st.booleans(), PRECISIONS)
def test_a_product_of_any_size(M, N, K, transpose_a, transpose_b, precision):
    multiply(tiled, precision, 1, M, N, K, transpose_a, transpose_b)


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_rows_of_whole_vectors_in_each_order(precision, transpose_a, transpose_b):
    multiply(tiled, precision, 1, 36, 12, 36 if precision == "bf16" else 20, transpose_a, transpose_b)


@pytest.fixture(autouse=True)
def planned_anew():
    """What is planned for other tiles, in another test, is forgotten."""
    tiled.planned.cache_clear()
    yield
    tiled.planned.cache_clear()


def test_the_large_tile(monkeypatch):
    monkeypatch.setattr(tiled, "SHAPES", {("tf32", 4): ((LARGE, 1.0),)})
    multiply(tiled, "tf32", 1, 100, 4, 4, False, True)


def test_batches_and_a_k_that_is_cut(monkeypatch):
    monkeypatch.setattr(engines, "PART", 16)
    monkeypatch.setattr(engines, "UNIT", 32)
    assert tiled.planned("bf16", 4, 2, 5, 4, 36)[1:] == (2, 32)
    multiply(tiled, "bf16", 2, 5, 4, 36)


@pytest.mark.parametrize("activation", [0, 1, 2])
def test_dense_rounds_and_finishes_as_the_reference(activation):
    """Whole numbers that bfloat16 holds: the product is exact, so what is left is bias and activation."""
    rng = np.random.default_rng(activation)
    x, w = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((5, 8), (8, 12)))
    bias, device = rng.standard_normal(12).astype(np.float32), EmulatedDevice("bf16")
    y, expected = device.empty((5, 12), np.float32), np.empty((5, 12), np.float32)
    host.dense(device, x, w, bias, y, activation)
    reference.dense(x, w, bias, expected, activation)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_the_plan_and_who_computes_what():
    assert tiled.planned("tf32", 4, 1, 4096, 4096, 4096) == (LARGE, 1, 4096)
    shape, parts, part = tiled.planned("bf16", 4, 1, 64, 64, 100_000)
    assert shape == SMALL and parts > 100 and part % engines.UNIT == 0 and (parts - 1) * part < 100_000 <= parts * part
    assert packed.worth(1, 4096, 4096, 4096) and not packed.worth(1, 512, 512, 512) and not packed.worth(1, 4096, 4096, 32)


class Recorder(EmulatedDevice):
    """Notes which kernels are launched, and what their machine code must contain, and does nothing."""

    def launch(self, kernel, grid, *arguments):
        self.seen = [*getattr(self, "seen", []), (kernel.name, *kernel.requires[:1])]


@pytest.mark.parametrize("precision, architecture, dtype, expected", [
    ("fp32", "sm_90", np.float32, [("product",)]), ("tf32", "sm_90", np.float32, [("product", engines.SASS["tf32"])]),
    ("bf16", "sm_90", np.float64, [("product",)]), ("bf16", "sm_80", np.float32, [("pack",), ("pack",), ("packed_product", "HMMA")]),
    ("bf16", "sm_90", np.float32, [("pack",), ("pack",), ("warpgroup_product", "HGMMA")])])
def test_precision_and_gpu_choose_the_kernel(precision, architecture, dtype, expected):
    device, x = Recorder(precision, architecture), np.empty((1, 4096, 4096), dtype)
    host.matmul(device, x, x, x, False, False)
    assert device.seen == expected


def test_nan_and_infinity_come_through():
    device, y = EmulatedDevice("tf32"), np.zeros((1, 3, 4), np.float32)
    nan = np.array(0x7FFFFFFF, np.uint32).view(np.float32)                 # the NaN that a GPU makes: another bit would be too many
    a = np.array([[[nan, 0, 0, 0], [np.inf, 1, 0, 0], [1, 2, 3, 4]]], np.float32)
    tiled.run(device, a, np.ones((1, 4, 4), np.float32), None, y, False, False, 0)
    assert np.isnan(y[0, 0]).all() and (y[0, 1] == np.inf).all() and (y[0, 2] == 10).all()


def table(precision, lines, depth, k_first):
    """The place of each (line, k) in shared memory, in bytes."""
    at, steps = staging.location(precision, lines, depth, k_first), depth // staging.BYTES[precision]

    @kernel("y: int64*", threads=32)
    def fill(y):
        for n in range(cuda.threadIdx.x, lines * steps, 32):
            y[n] = at(n // steps, n % steps)
    places = np.zeros((lines, steps), np.int64)
    emulate(fill, 1, places)
    return places * staging.BYTES[precision]


@pytest.mark.parametrize("precision, lines, depth, k_first", [
    ("bf16", 64, 64, True), ("bf16", 64, 128, True), ("tf32", 64, 64, True), ("bf16", 64, 64, False), ("bf16", 128, 64, False)])
def test_pieces_that_are_read_or_written_at_once_fill_all_banks(precision, lines, depth, k_first):
    places = table(precision, lines, depth, k_first)
    assert sorted(places.ravel()) == list(range(0, lines * depth, staging.BYTES[precision]))           # each place once
    rows, whole = places if k_first else places.T, staging.PIECE // staging.BYTES[precision]
    pieces = rows[:, ::whole]
    assert (rows.reshape(len(rows), -1, whole) == pieces[:, :, None] + np.arange(whole) * staging.BYTES[precision]).all()
    eights = pieces.reshape(-1, 8, pieces.shape[1]).swapaxes(1, 2).reshape(-1, 8)                       # what ldmatrix reads: 8 rows
    assert (np.sort(eights // 16 % 8, 1) == np.arange(8)).all()
    along = pieces.reshape(-1, 8)                                                                       # what 8 lanes write, 16 bytes each
    assert (np.sort(along // 16 % 8, 1) == np.arange(8)).all()


def test_tf32_with_lines_first_is_read_from_all_banks():
    places = table("tf32", 64, 64, False)
    for line in range(0, 64, 8):
        for k in range(0, 16, 4):
            assert len(set((places[line:line + 8, k:k + 4] // 4 % 32).ravel())) == 32


BARRIER = """                put_b(now + second, held_b)
                cuda.syncthreads()
"""
MUTANTS = {
    "no barrier before the first strips are read": (main_loop,
                                                    "        cuda.syncthreads()\n        now = 0", "        now = 0", KernelFault),
    "no barrier in the loop": (main_loop, BARRIER, BARRIER.splitlines(keepends=True)[0], KernelFault),
    "one half of shared memory only": (main_loop, "now = half - now", "now = 0", Race),
    "no barrier before the sums are turned over": (tiles, "cuda.syncthreads()                                                 #", "#",
                                                   Race),
    "no barrier after that": (tiles, "        cuda.syncthreads()\n        n = cuda", "        n = cuda", KernelFault),
    "warps that overlap": (tiles, "(warp & mask) * warp_columns", "(warp & mask) * (warp_columns - 8)", (Race, KernelFault)),
    "a tile further": (tiles, "column = quotient(inside, high)", "column = quotient(inside, high) + 1", (InvalidAddress, AssertionError)),
    "pieces not exchanged where they are read": (fragments, "at(first + m * 16 + line, step * deep + k)",
                                                 "at(first + m * 16 + line, step * deep + k) ^ 8", AssertionError),
    "pieces that share a place": (staging, "piece ^ (row >> shift & most)", "piece | (row >> shift & most)", (Race, KernelFault)),
    "a strip of the wrong k": (main_loop, "            k += steps\n", "            k += steps - 1\n", (AssertionError, InvalidAddress)),
    "one line too many": (tiled, "if line < lines else", "if line <= lines else", InvalidAddress),
    "one k too many": (tiled, "where[0] >= 0 and k < end", "where[0] >= 0 and k <= end", (InvalidAddress, AssertionError)),
    "one row too many is stored": (tiled, "if i < M and j < N", "if i <= M and j < N", (InvalidAddress, Race)),
}
MODULES = main_loop, staging, fragments, tiles, engines, tiled


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    module, old, new, fault = MUTANTS[name]
    made = mutant_of_several(MODULES, (module, old, new, Path(module.__file__).read_text().count(old)))
    with pytest.raises(fault):
        multiply(made, "bf16", 1, 36, 12, 36)


def test_the_kernel_is_right_where_its_mutants_are_not():
    multiply(mutant_of_several(MODULES), "bf16", 1, 36, 12, 36)
