"""CUDA kernels of bias/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.bias import cuda as kernels
from tinygradconv.kernels.bias import reference
from tinygradconv.kernels.cuda import columns

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, KernelFault

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
NARROW = (columns, "THREADS = 512", "THREADS = 64", 1)
SMALL = mutant_of_several((columns, kernels), NARROW)  # with smaller blocks, so that small matrices are many chunks, and less is emulated


def check(made, M, C, dtype=np.float32, activation=0, kept=True, summed=True):
    """dz to the bit, as each is one rounding or two of the same numbers; dbias, a sum in float64, to one rounding."""
    rng = np.random.default_rng(M + C)
    g, y = (rng.standard_normal((M, C)).astype(dtype) for _ in range(2))
    y = np.maximum(y, 0) if activation == 1 else np.tanh(y) if activation == 2 else None
    results = []
    for function, more in ((made.bias_backward, (DEVICE,)), (reference.bias_backward, ())):
        dz, dbias = DEVICE.empty((M, C), dtype) if kept else None, DEVICE.empty((C,), dtype) if summed else None
        function(*more, g, y, dz, dbias, activation)
        results.append((dz, dbias))
    (dz, dbias), (slope, total) = results
    if kept:
        np.testing.assert_array_equal(dz, slope)
    if summed:
        np.testing.assert_allclose(dbias, total, rtol=2 * np.finfo(dtype).eps, atol=1e-13)


# One row; no row; one by one and in fours; two slices; several chunks, with and without a last one that is shorter.
@pytest.mark.parametrize(("M", "C", "dtype"), [(1, 4, np.float32), (0, 5, np.float32), (9, 1, np.float64), (13, 31, np.float32),
                                               (7, 36, np.float32), (30, 33, np.float64), (150, 12, np.float32), (2, 0, np.float32)])
@pytest.mark.parametrize("activation", [0, 1, 2])
def test_bias_backward(M, C, dtype, activation):
    check(SMALL, M, C, dtype, activation)


def test_bias_backward_in_whole_blocks():
    check(kernels, 100, 31, activation=2)


@pytest.mark.parametrize("activation", [0, 1])
def test_what_is_not_wanted_is_not_made(activation):
    check(SMALL, 130, 6, activation=activation, kept=False)
    check(SMALL, 130, 6, activation=activation, summed=False)


def test_an_infinite_cotangent_is_cut_by_relu():
    g, y = np.full((3, 2), np.inf, np.float32), np.array([[1, 0], [2, -1], [3, np.nan]], np.float32)
    dz, dbias = DEVICE.empty((3, 2), np.float32), DEVICE.empty((2,), np.float32)
    kernels.bias_backward(DEVICE, g, y, dz, dbias, 1)
    assert dbias.tolist() == [np.inf, 0] and (dz[:, 1] == 0).all()


def test_arrays_whose_addresses_do_not_allow_wide_loads():
    g, dbias = np.arange(41, dtype=np.float32)[1:].reshape(10, 4), DEVICE.empty((4,), np.float32)
    kernels.bias_backward(DEVICE, g, None, None, dbias, 0)
    assert (dbias == g.sum(0)).all()


MUTANTS = {
    "no barrier in the tree": (columns, "across]\n            cuda.syncthreads()", "across]", 1),
    "the last chunk is lost": (columns, "range(lane, chunks, lanes)", "range(lane, chunks - 1, lanes)", 1),
    "a row of the next chunk": (kernels, "if row + k * lanes < end:", "if row + k * lanes <= end:", 2),
    "the next chunk begins too early": (kernels, "range(cuda.blockIdx.y * rows + lane", "range(cuda.blockIdx.y * (rows - 1) + lane", 1),
    "sums without the slope": (kernels, "values[j] += float64(slope)", "values[j] += float64(slopes[j])", 1),
    "dz is not kept": (kernels, "if kept:", "if not kept:", 1),
    "chunks are taken for one": (kernels, "if cuda.gridDim.y == 1:", "if True:", 1),
    "some threads miss the tree": (kernels, "if summed: ", "if summed and lane < lanes: ", 1),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    made = mutant_of_several((columns, kernels), NARROW, MUTANTS[name])
    with pytest.raises((AssertionError, KernelFault)):
        check(made, 13, 31, activation=1)


def test_the_kernels_are_right_where_their_mutants_are_not():
    check(SMALL, 13, 31, activation=1)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made)
