"""Normalisation of images: hand numbers, a plain loop, and the Cython form against the definition, to the bit."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.normalize import reference

from .variants import poisoned, variants

MODULES = variants("normalize")
EVERY = [reference, *MODULES]


def run(module, x, mean, deviation):
    """One call into a poisoned array."""
    y = poisoned(x.shape, np.float32)
    module.normalize(x, np.asarray(mean, np.float32), np.asarray(deviation, np.float32), y)
    return y


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_two_pixels_by_hand(module, dtype):
    assert run(module, np.array([[10, 200], [0, 255]], dtype), (10, 100), (2, 50)).tolist() == [[0, 2], [-5, np.float32(3.1)]]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@given(M=st.sampled_from([0, 1, 2, 7, 170, 171, 513, 1030]), C=st.sampled_from([1, 2, 3, 4, 16, 511, 513]), seed=st.integers(0, 99))
def test_the_compiled_form_is_the_references(module, dtype, M, C, seed):
    random = np.random.default_rng(seed)
    x, mean, deviation = random.uniform(0, 256, (M, C)).astype(dtype), random.normal(100, 50, C), random.uniform(0.1, 99, C)
    np.testing.assert_array_equal(run(module, x, mean, deviation), run(reference, x, mean, deviation))


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
def test_every_value_is_a_plain_loops(module):
    x, mean, deviation = np.arange(60, dtype=np.uint8).reshape(20, 3), (1.5, 30, 0), (0.7, 3, 11)
    y = run(module, x, mean, deviation)
    for m, c in np.ndindex(20, 3):
        assert y[m, c] == (np.float32(x[m, c]) - np.float32(mean[c])) / np.float32(deviation[c])
