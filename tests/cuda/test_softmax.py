"""CUDA kernels of softmax/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.softmax import cuda as kernels
from tinygradconv.kernels.softmax import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, KernelFault

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
NARROW = [(kernels, "THREADS = 256", "THREADS = 64", 1), (kernels, "range(8)", "range(6)", 1), (kernels, "128 >> k", "32 >> k", 1)]
SMALL = mutant_of_several([kernels], *NARROW)      # two rows to a block rather than eight: less is to be emulated
FLOATS = st.sampled_from([np.float32, np.float64])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 5), st.sampled_from([1, 2, 10, 31, 32, 33, 65]), FLOATS)
def test_softmax_and_its_logarithm(M, C, dtype):
    x = (np.random.default_rng(M).standard_normal((M, C)) * 20).astype(dtype)
    x[:, :: max(2, C // 3)][: M // 2] = -np.inf
    for name in ("softmax", "log_softmax"):
        y, expected = DEVICE.empty((M, C), dtype), np.empty((M, C), dtype)
        getattr(SMALL, name)(DEVICE, x, y)
        getattr(reference, name)(x, expected)
        eps = np.finfo(dtype).eps                              # the logarithm's error is of the size of 1's, and its power's relative to it
        np.testing.assert_allclose(y, expected, rtol=100 * eps, atol=10 * eps if name == "log_softmax" else np.finfo(dtype).tiny)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 5), st.sampled_from([1, 2, 10, 33, 65]), FLOATS)
def test_the_ways_back(M, C, dtype):
    rng = np.random.default_rng(M)
    g, y = rng.standard_normal((M, C)).astype(dtype), rng.uniform(-1, 1, (M, C)).astype(dtype)
    for name in ("softmax_backward", "log_softmax_backward"):
        dx, expected = DEVICE.empty((M, C), dtype), np.empty((M, C), dtype)
        getattr(SMALL, name)(DEVICE, g, y, dx)
        getattr(reference, name)(g, y, expected)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(dx, expected, rtol=100 * eps, atol=100 * eps)


def test_whole_blocks():
    logits, labels = np.zeros((9, 5), np.float32), np.arange(9) % 5
    losses, gradient = DEVICE.empty((1,), np.float32), DEVICE.empty((9, 5), np.float32)
    kernels.cross_entropy(DEVICE, logits, labels, None, losses, gradient, 0, -100, 2)
    np.testing.assert_allclose(losses, np.log(5), rtol=1e-6)
    np.testing.assert_allclose(gradient, (0.2 - np.eye(5)[labels]) / 9, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_without_a_softmax_becomes_nan(value):
    x, y = np.zeros((3, 40), np.float32), DEVICE.empty((3, 40), np.float32)
    x[1, 35], x[2] = value, -np.inf
    SMALL.log_softmax(DEVICE, x, y)
    assert np.isnan(y[1:]).all() and np.isfinite(y[0]).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.sampled_from([1, 3, 10, 33]), st.booleans(), st.sampled_from([0, 0.1]), st.sampled_from([0, 1, 2]), FLOATS)
def test_cross_entropy(M, C, weighted, smoothing, reduction, dtype):
    rng = np.random.default_rng(M * C)
    logits, labels = rng.standard_normal((M, C)).astype(dtype), rng.integers(0, C, M)
    labels[::4] = -100
    weights = rng.uniform(0.5, 2, C).astype(dtype) if weighted else None
    results = []
    for function, more in ((SMALL.cross_entropy, (DEVICE,)), (reference.cross_entropy, ())):
        losses, gradient = DEVICE.empty((1,) if reduction else (M,), dtype), DEVICE.empty((M, C), dtype)
        function(*more, logits, labels, weights, losses, gradient, smoothing, -100, reduction)
        results += [(losses, gradient)]
    (losses, gradient), (expected, slope) = results
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(losses, expected, rtol=50 * eps, atol=50 * eps)
    np.testing.assert_allclose(gradient, slope, rtol=50 * eps, atol=20 * eps)


def test_an_impossible_class_that_is_not_asked_for_costs_nothing():
    logits, labels = np.array([[0, -np.inf, 1]], np.float32), np.array([2])
    losses, gradient = DEVICE.empty((1,), np.float32), DEVICE.empty((1, 3), np.float32)
    SMALL.cross_entropy(DEVICE, logits, labels, None, losses, gradient, 0, -100, 0)
    np.testing.assert_allclose(losses, [np.log(1 + np.exp(-1))], rtol=1e-6)
    assert gradient[0, 1] == 0


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_gives_nan(label):
    losses, gradient = DEVICE.empty((1,), np.float32), DEVICE.empty((2, 3), np.float32)
    weights = np.ones(3, np.float32)
    SMALL.cross_entropy(DEVICE, np.zeros((2, 3), np.float32), np.array([0, label]), weights, losses, gradient, 0, -100, 2)
    assert np.isnan(losses).all()


def test_mutants_are_found():
    logits, labels = np.zeros((3, 5), np.float32), np.array([0, 1, 2])
    tree = "            sums[t] += sums[t + half]\n"
    for old, new, fault in ((tree + "        cuda.syncthreads()", tree, KernelFault), ("if row < M:  ", "if row <= M:  ", InvalidAddress),
                            ("x += ptx.shuffle_xor(x, 16", "x += ptx.shuffle_down(x, 16", AssertionError)):
        made = mutant_of_several([kernels], *NARROW, (kernels, old, new, 1))
        losses, gradient = DEVICE.empty((1,), np.float32), DEVICE.empty((3, 5), np.float32)
        with pytest.raises(fault):
            made.cross_entropy(DEVICE, logits, labels, None, losses, gradient, 0, -100, 1)
            made.softmax(DEVICE, logits, gradient)
            np.testing.assert_allclose(gradient, 0.2, rtol=1e-6)
