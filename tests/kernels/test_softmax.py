"""Softmax, its logarithm and cross-entropy: hand numbers, SciPy, torch, the rows where a careless form overflows; every compiled form."""
from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax as scipy_log_softmax
from tinygradconv._compiled import isa
from tinygradconv.kernels.softmax import reference

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.softmax_{variant}") for variant in isa.variants()}
EVERY = ["reference", *MODULES]
DTYPES = [np.float32, np.float64]
SIZES = st.sampled_from([1, 2, 3, 7, 8, 9, 10, 16, 17, 100, 1000, 1023, 1025, 2500])

pytestmark = pytest.mark.parametrize("variant", EVERY)


def kernel(variant, name, dtype):
    """The definition, or the Cython kernel for this instruction set and dtype."""
    if variant == "reference":
        return getattr(reference, name)
    function = getattr(MODULES[variant], name)
    return function["float" if dtype == np.float32 else "double"] if hasattr(function, "__signatures__") else function


def rows_of(variant, name, rows, dtype=np.float64):
    x = np.array(rows, dtype)
    y = np.full(x.shape, np.nan, dtype)
    kernel(variant, name, dtype)(x, y)
    return y


def cross_entropy(variant, logits, labels, weights=None, smoothing=0.0, ignore=-1, reduction=0):
    """(losses, gradient), from outputs that were NaN."""
    losses = np.full(len(logits) if reduction == 0 else 1, np.nan, logits.dtype)
    gradient = np.full_like(logits, np.nan)
    labels = np.asarray(labels, np.int64)
    kernel(variant, "cross_entropy", logits.dtype)(logits, labels, weights, losses, gradient, smoothing, ignore, reduction)
    return losses, gradient


def test_equal_classes_share_equally(variant):
    np.testing.assert_allclose(rows_of(variant, "log_softmax", [[5, 5, 5, 5]]), np.full((1, 4), -np.log(4)))
    np.testing.assert_allclose(rows_of(variant, "softmax", [[5, 5, 5, 5]]), np.full((1, 4), 0.25))


def test_odds_of_three_to_one(variant):
    np.testing.assert_allclose(np.exp(rows_of(variant, "log_softmax", [[np.log(3), 0]])), [[0.75, 0.25]])
    np.testing.assert_allclose(rows_of(variant, "softmax", [[np.log(3), 0]]), [[0.75, 0.25]])


@given(M=st.integers(1, 40), C=SIZES, dtype=st.sampled_from(DTYPES))
def test_is_scipys(variant, M, C, dtype):
    x = np.random.default_rng(M).standard_normal((M, C)) * 30
    tolerance = 5e-6 if dtype == np.float32 else 1e-12
    want = scipy_log_softmax(x.astype(dtype).astype(np.float64), axis=1)
    np.testing.assert_allclose(rows_of(variant, "log_softmax", x, dtype), want, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(rows_of(variant, "softmax", x, dtype), np.exp(want), rtol=10 * tolerance, atol=tolerance)


@given(M=st.integers(1, 40), C=SIZES, dtype=st.sampled_from(DTYPES))
def test_the_ways_back_are_torchs(variant, M, C, dtype):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(M)
    x, g = random.standard_normal((M, C)) * 3, random.standard_normal((M, C)).astype(dtype)
    tolerance = 3e-5 if dtype == np.float32 else 1e-11
    for name in "softmax", "log_softmax":
        leaf = torch.tensor(x, requires_grad=True)
        y = getattr(torch, name)(leaf, 1)
        y.backward(torch.tensor(g.astype(np.float64)))
        dx = np.full((M, C), np.nan, dtype)
        kernel(variant, name + "_backward", dtype)(g, y.detach().numpy().astype(dtype), dx)
        np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_the_ways_back_by_hand(variant):
    """p = (0.75, 0.25), g = (4, 0): Σ g·p = 3 and Σ g = 4."""
    g, p, dx = np.array([[4.0, 0]]), np.array([[0.75, 0.25]]), np.full((1, 2), np.nan)
    kernel(variant, "softmax_backward", np.float64)(g, p, dx)
    assert dx.tolist() == [[0.75, -0.75]]
    kernel(variant, "log_softmax_backward", np.float64)(g, np.log(p), dx)
    np.testing.assert_allclose(dx, [[1, -1]], rtol=1e-15)


def test_large_values_do_not_overflow(variant):
    np.testing.assert_array_equal(rows_of(variant, "log_softmax", [[1000, 0], [-1000, -1000]], np.float32)[0], [0, -1000])


def test_minus_infinity_is_a_class_of_probability_zero(variant):
    np.testing.assert_allclose(rows_of(variant, "log_softmax", [[-np.inf, 2, 2]]), [[-np.inf, -np.log(2), -np.log(2)]])
    np.testing.assert_allclose(rows_of(variant, "softmax", [[-np.inf, 2, 2]]), [[0, 0.5, 0.5]])


@pytest.mark.parametrize("name", ["log_softmax", "softmax"])
def test_a_row_without_a_softmax_is_nan_and_its_neighbours_are_not(variant, name):
    wrong = [[-np.inf, -np.inf], [np.nan, 0], [0, np.nan], [np.inf, 0]]
    y = rows_of(variant, name, [row for pair in zip(wrong, [[1, 2]] * 4) for row in pair])
    assert np.isnan(y[::2]).all() and np.isfinite(y[1::2]).all()


def test_no_rows(variant):
    assert rows_of(variant, "log_softmax", np.empty((0, 3))).shape == rows_of(variant, "softmax", np.empty((0, 3))).shape == (0, 3)
    losses, gradient = cross_entropy(variant, np.empty((0, 3)), [], reduction=2)
    assert np.isnan(losses[0]) and gradient.shape == (0, 3)
    assert cross_entropy(variant, np.empty((0, 3)), [], reduction=1)[0] == 0


def test_a_loss_by_hand(variant):
    """p = (0.75, 0.25): the loss of the unlikelier class is log 4, its gradient p minus one-hot."""
    logits = np.array([[np.log(3), 0.0], [9, 9]])
    losses, gradient = cross_entropy(variant, logits, [1, -1])
    np.testing.assert_allclose(losses, [np.log(4), 0])
    np.testing.assert_allclose(gradient, [[0.75, -0.75], [0, 0]])


@given(M=st.integers(1, 40), C=SIZES, dtype=st.sampled_from(DTYPES), weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1, 1.0]),
       reduction=st.sampled_from([0, 1, 2]), seed=st.integers(0, 99))
def test_cross_entropy_and_its_gradient_are_torchs(variant, M, C, dtype, weighted, smoothing, reduction, seed):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(seed)
    logits, labels = random.standard_normal((M, C)).astype(dtype) * 4, random.integers(0, C, M)
    labels[random.random(M) < 0.2] = -7
    labels[0] = 0
    weights = random.uniform(0.5, 2, C).astype(dtype) if weighted else None
    leaf = torch.tensor(logits.astype(np.float64), requires_grad=True)
    scale = None if weights is None else torch.tensor(weights.astype(np.float64))
    theirs = torch.nn.functional.cross_entropy(leaf, torch.tensor(labels), scale, ignore_index=-7, label_smoothing=smoothing,
                                               reduction=("none", "sum", "mean")[reduction])
    theirs.sum().backward()
    losses, gradient = cross_entropy(variant, logits, labels, weights, smoothing, -7, reduction)
    tolerance = 3e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(losses.reshape(theirs.shape), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_mean_of_what_has_no_weight_is_not_finite(variant, smoothing):
    """0/0, as in torch, but examples that are left out have no gradient all the same."""
    torch = pytest.importorskip("torch")
    logits, labels, weights = np.array([[1.0, 2, 3], [0, 1, 5]]), np.array([0, -7]), np.array([0.0, 1, 1])
    leaf = torch.tensor(logits, requires_grad=True)
    theirs = torch.nn.functional.cross_entropy(leaf, torch.tensor(labels), torch.tensor(weights), ignore_index=-7,
                                               label_smoothing=smoothing)
    theirs.backward()
    losses, gradient = cross_entropy(variant, logits, labels, weights, smoothing, -7, 2)
    assert not np.isfinite([losses[0], theirs.item()]).any()
    for slope in gradient, leaf.grad.numpy():
        assert not np.isfinite(slope[0]).all() and not slope[1].any()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_row_of_two_million_classes_is_as_exact_as_a_short_one(variant, name):
    x = np.random.default_rng(0).random((1, 2_000_000)).astype(np.float32)
    want = scipy_log_softmax(x.astype(np.float64), axis=1)
    got = rows_of(variant, name, x, np.float32)
    np.testing.assert_allclose(got, want if name == "log_softmax" else np.exp(want), rtol=2e-6)


def test_extreme_and_impossible_logits(variant):
    logits = np.array([[1e30, 0, -1e30], [0, -np.inf, 0], [0, -np.inf, 0], [np.nan, 0, 0]], np.float32)
    losses, gradient = cross_entropy(variant, logits, [0, 0, 1, -1])
    np.testing.assert_allclose(losses, [0, np.log(2), np.inf, 0], rtol=1e-6)
    np.testing.assert_allclose(gradient, [[0, 0, 0], [-0.5, 0, 0.5], [0.5, -1, 0.5], [0, 0, 0]], atol=1e-7)
    assert np.isnan(cross_entropy(variant, logits, [0, 0, 0, 0])[0][3])


def test_thread_count_changes_no_bit(variant):
    if variant == "reference":
        return
    x, labels = np.random.default_rng(0).standard_normal((3000, 37)).astype(np.float32), np.arange(3000) % 37
    results = []
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            filled = [*cross_entropy(variant, x, labels, smoothing=0.1, reduction=2), rows_of(variant, "softmax", x, np.float32)]
            results.append([a.tobytes() for a in filled])
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]
