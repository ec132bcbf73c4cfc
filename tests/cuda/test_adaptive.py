"""CUDA kernels of adaptive/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.adaptive import cuda as kernels
from tinygradconv.kernels.adaptive import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, KernelFault

from .mutants import mutant

DEVICE = EmulatedDevice()
WINDOWS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 7)).map(lambda w: (w[0], min(7, w[0] + w[1]))), max_size=4)


def check(made, windows, A, B, dtype=np.float32):
    """All three kernels on seven places; NaN and ties among the numbers."""
    starts, ends = (np.array([window[side] for window in windows], np.int64) for side in (0, 1))
    rng, I = np.random.default_rng(A * B), len(windows)
    x, g, scale = rng.integers(0, 4, (A, 7, B)).astype(dtype), rng.standard_normal((A, I, B)).astype(dtype), rng.random(I).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    for name, operands, shape, outputs in (("adaptive_mean", (x, starts, ends, scale), g.shape, (dtype,)),
                                           ("adaptive_spread", (g, starts, ends, scale), x.shape, (dtype,)),
                                           ("adaptive_max", (x, starts, ends), g.shape, (dtype, np.int64))):
        filled = [[DEVICE.empty(shape, kind) for kind in outputs] for _ in range(2)]
        getattr(made, name)(DEVICE, *operands, *filled[0])
        getattr(reference, name)(*operands, *filled[1])
        for ours, theirs in zip(*filled):
            np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=20, deadline=None)
@given(WINDOWS, st.integers(0, 3), st.sampled_from([1, 2, 33]), st.sampled_from([np.float32, np.float64]))
def test_every_kernel_is_its_definition(windows, A, B, dtype):
    check(kernels, windows, A, B, dtype)


def test_more_than_a_block():
    check(kernels, [(0, 3), (2, 5), (4, 7)], 2, 70)


MUTANTS = {
    "one thread too many": ("if at < size:\n            a, p, b", "if at <= size:\n            a, p, b", 1),
    "two axes exchanged": ("return a, line - a * places, i - line * B", "return line - a * places, a, i - line * B", 1),
    "the last place is left out": ("for p in range(starts[i], ends[i]):", "for p in range(starts[i], ends[i] - 1):", 1),
    "a window reaches too far": ("p < ends[i]", "p <= ends[i]", 1),
    "NaN does not win": ("not value <= best", "value > best", 1),
    "the last maximum": ("not value <= best", "not value < best", 1),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    with pytest.raises((AssertionError, KernelFault)):
        check(mutant(kernels, *MUTANTS[name]), [(0, 3), (2, 5), (1, 7)], 2, 5)


def test_the_kernels_are_right_where_their_mutants_are_not():
    check(kernels, [(0, 3), (2, 5), (1, 7)], 2, 5)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made)
