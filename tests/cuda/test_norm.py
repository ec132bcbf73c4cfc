"""CUDA kernels of norm/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.cuda import columns
from tinygradconv.kernels.norm import cuda as kernels
from tinygradconv.kernels.norm import cuda_batch, cuda_batch_backward, cuda_groups, cuda_response, reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, KernelFault

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
ANY = (AssertionError, KernelFault)
MODULES = (columns, cuda_batch, cuda_batch_backward, cuda_groups, cuda_response, kernels)
NARROW = (columns, "THREADS = 512", "THREADS = 64", 1)
SMALL = mutant_of_several(MODULES, NARROW)         # with smaller blocks, so that small matrices are many chunks, and less is to be emulated


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def both(made, name, operands, outputs, more, dtype, device=DEVICE):
    """[(filled by the kernel, filled by its definition), …]; an output that is None is not wanted: bits of what passed ReLU never are."""
    filled = [[None if shape is None else DEVICE.empty(shape, dtype) for shape in outputs] for _ in range(2)]
    getattr(made, name)(device, *operands, *filled[0], *more)
    with np.errstate(all="ignore"):
        getattr(reference, name)(*operands, *filled[1], *more)
    return [(ours, theirs) for ours, theirs in zip(*filled) if ours is not None]


def assert_close(pairs, dtype, roundings=30):
    """Equal to a few roundings, and NaN and infinity where they belong."""
    for ours, theirs in pairs:
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(ours, theirs, rtol=roundings * eps, atol=roundings * eps)


def check_batch_norm(made, M, C, dtype=np.float32, residual=False, activation=0):
    """Forward and backward; the backward pass goes on from the definition's values, so that ReLU cuts alike."""
    x, scale, shift, g = normal((M, C), dtype), normal(C, dtype, 1), normal(C, dtype, 2), normal((M, C), dtype, 3)
    beside = normal((M, C), dtype, 4) if residual else None
    forward = both(made, "batch_norm_forward", (x, scale, shift, beside), ((M, C), C, C, None), (0.01, activation), dtype)
    (_, y), (_, mean), (_, variance) = forward
    backward = both(made, "batch_norm_backward", (g, x, y if activation else None, scale, mean, variance),
                    ((M, C), C, C, (M, C) if residual else None), (0.01, activation), dtype)
    assert_close(forward, dtype)
    for (ours, theirs), terms in zip(backward, (1, M, M, 1)):              # a sum's error is of the size of its terms'
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=300 * np.finfo(dtype).eps * np.sqrt(terms))


# One row; one channel; few channels; two slices, more than one chunk of rows: in fours and one by one.
BATCHES = [(1, 4, np.float32, False, 1), (70, 1, np.float64, True, 0), (19, 31, np.float32, True, 1), (5, 33, np.float64, True, 1),
           (115, 36, np.float32, True, 1), (40, 6, np.float64, False, 1), (120, 8, np.float32, True, 0)]


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: f"{batch[0]}x{batch[1]}")
def test_batch_norm(batch):
    check_batch_norm(SMALL, *batch)


def test_batch_norm_in_whole_blocks():
    check_batch_norm(kernels, 40, 17, np.float32, True, 1)


def test_nothing_is_launched_for_no_channels():
    nothing, none = np.zeros((3, 0), np.float32), np.zeros(0, np.float32)
    kernels.batch_norm_forward(None, nothing, none, none, None, nothing, none, none, None, 0.1, 0)
    kernels.batch_norm_backward(None, nothing, nothing, None, none, none, none, nothing, none, none, None, 0.1, 0)
    kernels.affine(None, nothing, none, none, None, nothing, 0)


@pytest.mark.parametrize("C", [4, 3])
def test_statistics_are_accurate_far_from_zero(C):
    """Mean 10⁴, deviation 1: the naive E[x²] − E[x]² in float32 has no correct digit of the variance."""
    x = (normal((500, C), np.float64) + 1e4).astype(np.float32)
    naive = (x ** 2).mean(0, dtype=np.float32) - x.mean(0, dtype=np.float32) ** 2
    assert np.abs(naive - 1).max() > 0.5                                   # the checker would notice
    one = np.ones(C, np.float32)
    y, mean, variance = both(SMALL, "batch_norm_forward", (x, one, 0 * one, None), (x.shape, C, C, None), (1e-5, 0), np.float32)
    np.testing.assert_allclose(*mean, rtol=1e-7)
    np.testing.assert_allclose(*variance, rtol=1e-7)
    np.testing.assert_allclose(*y, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
@pytest.mark.parametrize("row", [0, 17])
def test_a_wild_value_spoils_its_own_channel_as_the_definition_says(value, row):
    x, one = normal((60, 4), np.float32), np.ones(4, np.float32)
    x[row, 2] = value
    forward = both(SMALL, "batch_norm_forward", (x, one, one, None), (x.shape, 4, 4, None), (0.1, 1), np.float32)
    assert_close(forward, np.float32)
    assert np.isfinite(np.delete(forward[0][0], 2, 1)).all() and np.isfinite(forward[0][0][:, 2]).all() == np.isfinite(value)


def test_a_not_a_number_passes_relu_and_its_cotangent_does_not():
    x, one, residual = normal((33, 4), np.float32), np.ones(4, np.float32), np.zeros((33, 4), np.float32)
    residual[[5, 32], 3] = np.nan
    (y, _), *_ = both(SMALL, "batch_norm_forward", (x, one, one, residual), (x.shape, 4, 4, None), (0.1, 1), np.float32)
    assert np.isnan(y).sum() == 2 and np.isnan(y[[5, 32], 3]).all()
    g = np.where(np.isnan(residual), np.inf, 1).astype(np.float32)
    backward = both(SMALL, "batch_norm_backward", (g, x, y, one, 0 * one, one), (x.shape, 4, 4, x.shape), (0.1, 1), np.float32)
    assert_close(backward, np.float32)
    np.testing.assert_array_equal(backward[-1][0], np.where(y > 0, 1, 0))


@pytest.mark.parametrize("C", [12, 33])
@pytest.mark.parametrize("activation", [0, 1])
def test_affine(C, activation):
    x, residual, scale, shift = (normal(shape, np.float32, seed) for seed, shape in enumerate([(101, C), (101, C), C, C]))
    x[3, 1] = np.nan
    for beside in (None, residual):
        assert_close(both(SMALL, "affine", (x, scale, shift, beside), (x.shape,), (activation,), np.float32), np.float32)


def test_arrays_whose_addresses_do_not_allow_wide_loads():
    x, one = normal(81, np.float32)[1:].reshape(20, 4), np.ones(4, np.float32)
    assert_close(both(SMALL, "batch_norm_forward", (x, one, one, None), (x.shape, 4, 4, None), (0.1, 0), np.float32), np.float32)


def test_the_size_of_the_gpu_changes_no_bit():
    x, g, scale = normal((30, 17), np.float32), normal((30, 17), np.float32, 1), normal(17, np.float32, 2)
    results = []
    for multiprocessors in (1, 5):
        device = EmulatedDevice()
        device.multiprocessors = multiprocessors
        forward = both(SMALL, "batch_norm_forward", (x, scale, scale, g), (x.shape, 17, 17, None), (0.1, 1), np.float32, device)
        (y, _), (mean, _), (variance, _) = forward
        backward = both(SMALL, "batch_norm_backward", (g, x, y, scale, mean, variance), (x.shape, 17, 17, None), (0.1, 1), np.float32,
                        device)
        results.append([ours.tobytes() for ours, _ in forward + backward])
    assert results[0] == results[1]


@given(st.integers(0, 10**6), st.integers(1, 5000), st.sampled_from([1, 4]), st.integers(1, 4))
def test_slices_and_chunks_cover_the_matrix(M, C, width, each):
    C *= width
    cut = columns.columns(M, C, width, each)
    assert 1 <= cut.across * width <= columns.SLICE and (cut.slices - 1) * cut.across * width < C <= cut.slices * cut.across * width
    assert cut.lanes * cut.across <= columns.THREADS < (cut.lanes + 1) * cut.across
    assert (cut.chunks - 1) * cut.rows < max(M, 1) <= cut.chunks * cut.rows
    assert cut.chunks == 1 or (cut.slices * cut.chunks <= columns.BLOCKS and cut.rows >= cut.lanes * each)


# ---- group normalisation

def check_groups(made, shape, dtype=np.float32):
    x, g = normal(shape, dtype) + dtype(3), normal(shape, dtype, 1)
    groups = shape[0], shape[2]
    forward = both(made, "group_norm_forward", (x,), (shape, groups, groups), (0.01,), dtype)
    backward = both(made, "group_norm_backward", (g, x, forward[1][1], forward[2][1]), (shape,), (0.01,), dtype)
    assert_close(forward + backward, dtype, 50)


@pytest.mark.parametrize("made", [SMALL, mutant_of_several(MODULES, NARROW, (cuda_groups, "LONG, MANY = 2048", "LONG, MANY = 10", 1))],
                         ids=["warps", "blocks"])
@pytest.mark.parametrize(("shape", "dtype"), [((2, 12, 3, 2), np.float32), ((3, 1, 1, 50), np.float64), ((2, 7, 1, 5), np.float32),
                                              ((1, 40, 4, 16), np.float32), ((9, 9, 2, 1), np.float32), ((0, 3, 2, 4), np.float32)])
def test_group_norm(shape, dtype, made):
    check_groups(made, shape, dtype)


def test_groups_that_are_long_and_few_have_a_block_each():
    assert cuda_groups._groups(np.zeros((2, 400, 2, 8), np.float32))[1][2] == columns.THREADS
    assert cuda_groups._groups(np.zeros((8192, 1, 1, 768), np.float32)) == ((8192, 768, 1, 768), (cuda_groups.float32, 4, 32))


def test_a_constant_group_becomes_zero_and_nan_stays_in_its_group():
    x = np.full((2, 5, 2, 4), 1e4, np.float32)
    x[0, 2, 1, 3] = np.nan
    forward = both(kernels, "group_norm_forward", (x,), (x.shape, (2, 2), (2, 2)), (0.1,), np.float32)
    assert_close(forward, np.float32)
    assert np.isnan(forward[0][0][0, :, 1]).all() and (forward[0][0][1] == 0).all()


# ---- local response normalisation

@pytest.mark.parametrize(("shape", "size"), [((3, 1), 5), ((9, 3), 2), ((40, 7), 5), ((17, 16), 4), ((2, 130), 3), ((5, 6), 40),
                                             ((0, 4), 3)])
@pytest.mark.parametrize(("dtype", "beta"), [(np.float32, 0.75), (np.float64, 1.3)])
def test_local_response_norm(shape, size, dtype, beta):
    x, g = normal(shape, dtype), normal(shape, dtype, 1)
    if len(x) > 1:
        x[1, -1] = np.nan
    window = (size, 0.7, beta, 1.5)
    assert_close(both(kernels, "local_response_norm_forward", (x,), (shape,), window, dtype), dtype)
    assert_close(both(kernels, "local_response_norm_backward", (g, x), (shape,), window, dtype), dtype)


# ---- mutants

def check_windows(made):
    x = normal((45, 6), np.float32)
    assert_close(both(made, "local_response_norm_forward", (x,), (x.shape,), (4, 0.7, 0.75, 1.5), np.float32), np.float32)
    assert_close(both(made, "local_response_norm_backward", (x, x), (x.shape,), (4, 0.7, 0.75, 1.5), np.float32), np.float32)


CASES = {
    "rows": lambda made: check_batch_norm(made, 22, 31, residual=True, activation=1),          # two chunks
    "ragged": lambda made: check_batch_norm(made, 7, 33),                                       # two slices, the second one shorter
    "many": lambda made: check_batch_norm(made, 40, 31),                                        # more than the blocks take at once
    "groups": lambda made: check_groups(made, (3, 5, 3, 20)),
    "windows": check_windows,
}
TREE = """                    held[j * THREADS + t] += held[j * THREADS + t + half * across]
            cuda.syncthreads()
"""
MUTANTS = {
    "no barrier in the tree": ("rows", columns, TREE, TREE.splitlines(keepends=True)[0], 1),
    "no barrier before the tree": ("rows", columns, "values[j]\n        cuda.syncthreads()", "values[j]", 1),
    "a lane without a partner is lost": ("ragged", columns, "half = (left + 1) >> 1", "half = left >> 1", 1),
    "the last chunk is lost": ("rows", columns, "range(lane, chunks, lanes)", "range(lane, chunks - 1, lanes)", 1),
    "a channel too many": ("ragged", columns, "if lane < lanes and c < C:", "if lane < lanes and c <= C:", 1),
    "factors are read too early": ("rows", cuda_batch, "        cuda.syncthreads()\n        scaled(", "        scaled(", 2),
    "a row of the next chunk": ("rows", cuda_batch, "if row + k * lanes < end:", "if row + k * lanes <= end:", 2),
    "a row that is not there": ("rows", cuda_batch, "if row + k * lanes < M:", "if row + k * lanes <= M:", 2),
    "every block fills mean and variance": ("many", cuda_batch, "if cuda.blockIdx.y == 0:", "if True:", 1),
    "rows are left out": ("many", cuda_batch, "M, cuda.gridDim.y * lanes * FEW", "M, cuda.gridDim.y * lanes * MANY", 1),
    "not a row is cut by ReLU": ("rows", cuda_batch_backward, "if activation == 1 and not after", "if activation == 2 and not after", 1),
    "dz is not kept": ("rows", cuda_batch_backward, "if kept:", "if not kept:", 1),
    "gradients are read too early": ("rows", cuda_batch_backward, "        cuda.syncthreads()\n", "", 1),
    "half a warp": ("groups", cuda_groups, "16 >> k", "8 >> k", 1),
    "a group too many": ("groups", cuda_groups, "if group < groups:", "if group <= groups:", 2),
    "the groups beside": ("groups", cuda_groups, "return i + row * (C - D)", "return i + row * C", 1),
    "the window turned round": ("windows", cuda_response, "range(start + max(0, c - after)", "range(start + max(0, c - before)", 1),
    "a neighbour too many": ("windows", cuda_response, "min(C, c + after + 1)", "min(C + 1, c + after + 1)", 1),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    case, *change = MUTANTS[name]
    made = mutant_of_several(MODULES, NARROW, tuple(change))
    with pytest.raises(ANY):
        CASES[case](made)


@pytest.mark.parametrize("case", CASES)
def test_the_kernels_are_right_where_their_mutants_are_not(case):
    CASES[case](SMALL)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made)
