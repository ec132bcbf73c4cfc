"""CUDA kernels of normalize/, emulated: the reference back end's bits."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.normalize import cuda as kernels
from tinygradconv.kernels.normalize import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress

from .mutants import mutant

DEVICE = EmulatedDevice()


def normalised(made, x, mean, deviation):
    y = DEVICE.empty(x.shape, np.float32)
    made.normalize(DEVICE, x, mean, deviation, y)
    return y


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([(0, 3), (1, 1), (400, 3), (2, 1300), (150, 7)]), st.sampled_from([np.uint8, np.float32]))
def test_normalize(shape, dtype):
    rng = np.random.default_rng(0)
    x, mean, deviation = (rng.uniform(0, 256, shape).astype(dtype), *rng.uniform(50, 200, (2, shape[1])).astype(np.float32))
    expected = np.empty(shape, np.float32)
    reference.normalize(x, mean, deviation, expected)
    assert (normalised(kernels, x, mean, deviation) == expected).all()


@pytest.mark.parametrize("old, new, fault", [
    ("            if i < size:\n                held", "            if i <= size:\n                held", InvalidAddress),
    ("within = start - quotient(start, C) * C +", "within =", AssertionError),
    ("(within + k * THREADS)", "(within)", AssertionError)])
def test_mutants_are_found(old, new, fault):
    x, mean = np.arange(1400, dtype=np.float32).reshape(200, 7), np.arange(7, dtype=np.float32)
    made = mutant(kernels, old, new)
    with pytest.raises(fault):
        assert (normalised(made, x, mean, mean + 1) == (x - mean) / (mean + 1)).all()
