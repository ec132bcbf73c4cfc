"""CUDA kernels of gather/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.gather import cuda as kernels
from tinygradconv.kernels.gather import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, KernelFault

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
SMALLER = kernels, "THREADS, EACH = 256, 4", "THREADS, EACH = 32, 4", 1
SMALL = mutant_of_several([kernels], SMALLER)              # less is to be emulated
DTYPES = [np.float32, np.float64, np.int32, np.int64]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([(0,), (7,), (3, 70)]), st.sampled_from([*DTYPES, np.bool_]))
def test_gather(shape, dtype):
    rng = np.random.default_rng(0)
    x, where = (rng.standard_normal((9, 4)) * 9).astype(dtype), rng.integers(0, 36, shape)
    y = DEVICE.empty(where.shape, dtype)
    SMALL.gather(DEVICE, x, where, y)
    assert (y == x.reshape(-1)[where]).all()


def added(made, g, where, size):
    x = DEVICE.empty((size,), g.dtype)
    made.scatter_add(DEVICE, g, where, x)
    return x


@settings(max_examples=6, deadline=None)
@given(st.sampled_from([0, 1, 3, 70]), st.sampled_from([1, 5, 300]), st.sampled_from(DTYPES))
def test_scatter_add(count, places, dtype):
    rng = np.random.default_rng(count)
    g, where = (rng.standard_normal(count) * 9).astype(dtype), rng.integers(0, places, count)
    x, expected = added(SMALL, g, where, places), np.zeros(places, dtype)
    reference.scatter_add(g, where, expected)
    np.testing.assert_allclose(x, expected, rtol=4 * np.finfo(np.float64).eps, atol=1e-14)


@pytest.mark.parametrize("made, count, places", [(SMALL, 300, 2), (SMALL, 300, 350), (kernels, 600, 5)], ids=["few", "many", "whole"])
def test_more_values_than_a_block_sorts(made, count, places):
    """Eight blocks, or two, whose runs are merged through memory; with few places most values of a place lie beyond a part."""
    rng = np.random.default_rng(places)
    g, where = rng.standard_normal(count).astype(np.float32), rng.integers(0, places, count)
    expected = np.array([g[where == place].sum(dtype=np.float64) for place in range(places)], np.float32)
    assert (added(made, g, where, places) == expected).all()


def test_values_of_a_place_are_added_in_their_order():
    """1e300 + 1 − 1e300 is 0 in this order and 1 in others; so is what comes 64 values later."""
    g, where = np.zeros(200), np.full(200, 3)
    g[[0, 1, 2]], g[[130, 131, 132]] = [1e300, 1, -1e300], [1, 1e300, -1e300]
    assert added(SMALL, g, where, 4).tolist() == [0, 0, 0, 0]


def test_an_index_and_its_gradient(emulated):
    import tinygradconv as tgc
    values, found = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32), []
    for device in ("cpu", "cuda"):
        x = tgc.Tensor(values).to(device).requires_grad_()
        y = x[np.array([4, 0, 4, 2]), np.array([1, 1, 1, 0])]
        (slope,) = tgc.grad((y * y).sum(), [x])
        found.append((y.numpy(), slope.numpy()))
    for here, there in zip(*found, strict=True):
        assert (here == there).all()


def test_too_many_places_are_refused():
    class Large:
        size, dtype = 2 ** 31 + 1, np.dtype(np.float32)
    with pytest.raises(ValueError, match=r"scatter_add: on a GPU there may be at most 2³¹ places and values, got 2147483649 and 3"):
        kernels.scatter_add(DEVICE, np.zeros(3, np.float32), np.zeros(3, np.int64), Large)


def test_mutants_are_found():
    g, where = np.arange(1, 71, dtype=np.float32), np.arange(70) * 7 % 5
    expected = np.bincount(where, g).astype(np.float32)
    barrier = "held[i], held[i + apart] = b, a\n                cuda.syncthreads()"
    for old, new, fault in ((barrier, barrier.partition("\n")[0], KernelFault),
                            ("apart = min(run >> 1, THREADS)", "apart = min(run >> 2, THREADS)", (AssertionError, KernelFault)),
                            ("if s % PART == 0 or keys[s - 1] >> 32 != place:", "if s == 0 or keys[s - 1] >> 32 != place:", AssertionError),
                            ("device.launch(fill_zero(T)", "(lambda *_: None)(fill_zero(T)", AssertionError),
                            ("s += PART - s % PART\n", "s += PART\n", AssertionError)):
        made = mutant_of_several([kernels], SMALLER, (kernels, old, new, 1))
        with pytest.raises(fault):
            places = 7
            got = added(made, np.concatenate([g, g[:3]]), np.concatenate([where, [4, 4, 4]]), places)
            assert (got[:5] == expected + [0, 0, 0, 0, 6]).all() and not got[5:].any()
