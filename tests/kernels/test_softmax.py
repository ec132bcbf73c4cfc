"""log_softmax: hand numbers, SciPy, and the rows where a careless form overflows."""
from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax as scipy_log_softmax
from tinygradconv.kernels.softmax import reference


def log_softmax(rows, dtype=np.float64):
    x = np.array(rows, dtype)
    y = np.full(x.shape, np.nan, dtype)
    reference.log_softmax(x, y)
    return y


def test_equal_classes_share_equally():
    np.testing.assert_allclose(log_softmax([[5, 5, 5, 5]]), np.full((1, 4), -np.log(4)))


def test_odds_of_three_to_one():
    np.testing.assert_allclose(np.exp(log_softmax([[np.log(3), 0]])), [[0.75, 0.25]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_is_scipys(rng, dtype):
    x = rng.standard_normal((7, 10)) * 30
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(log_softmax(x, dtype), scipy_log_softmax(x, axis=1), rtol=tolerance, atol=tolerance)


def test_large_values_do_not_overflow():
    np.testing.assert_array_equal(log_softmax([[1000, 0], [-1000, -1000]], np.float32)[0], [0, -1000])


def test_minus_infinity_is_a_class_of_probability_zero():
    np.testing.assert_allclose(log_softmax([[-np.inf, 2, 2]]), [[-np.inf, -np.log(2), -np.log(2)]])


def test_a_row_without_a_softmax_is_nan():
    assert np.isnan(log_softmax([[-np.inf, -np.inf], [np.nan, 0]])).all()


def test_no_rows():
    assert log_softmax(np.empty((0, 3))).shape == (0, 3)
