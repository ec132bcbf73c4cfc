"""im2col and col2im as ops: the layout of the rows, adjointness, errors."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tinygradconv.gradcheck import gradcheck
from tinygradconv.ops.im2col import col2im, im2col

from .parity import cases, ours


def test_the_rows_are_the_windows(backend):
    x = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    assert im2col(x, 2).tolist() == [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]
    assert col2im(im2col(x, 2), (1, 3, 3, 1), 2).numpy().reshape(3, 3).tolist() == [[1, 4, 3], [8, 20, 12], [7, 16, 9]]


@given(case=cases())
def test_each_is_the_adjoint_and_the_derivative_of_the_other(backend, case):
    random = np.random.default_rng(1)
    x = random.standard_normal(case.x)
    cols = im2col(x, case.kernel, **case.options)
    g = random.standard_normal(cols.shape)
    back = col2im(g, case.x, case.kernel, **case.options)
    np.testing.assert_allclose((cols.numpy() * g).sum(), (back.numpy() * x).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ours(lambda t: im2col(t, case.kernel, **case.options), [x], g)[1], back.numpy())
    np.testing.assert_array_equal(ours(lambda t: col2im(t, case.x, case.kernel, **case.options), [g], x)[1], cols.numpy())


def test_derivatives_to_second_order(backend, rng):
    gradcheck(lambda x: im2col(x, (2, 3), stride=2, padding=1) ** 3, [rng.standard_normal((1, 4, 3, 2))])
    gradcheck(lambda c: col2im(c, (1, 4, 3, 2), 2, stride=2, padding=1) ** 3, [rng.standard_normal((6, 8))])


def test_integers_become_float32(backend):
    assert im2col(np.ones((1, 2, 2, 1), int), 2).dtype == np.float32


def test_errors_name_what_was_expected():
    with pytest.raises(ValueError, match=r"col2im: cols must be .* = \(4, 4\) for x_shape \(1, 3, 3, 1\) .* got \(4, 5\)"):
        col2im(np.zeros((4, 5)), (1, 3, 3, 1), 2)
    with pytest.raises(ValueError, match=r"im2col: x must have four axes \(N, H, W, C\), got shape \(3, 3, 1\)"):
        im2col(np.zeros((3, 3, 1)), 2)
    with pytest.raises(ValueError, match="im2col: kernel_size must be at least 1, got 0"):
        im2col(np.zeros((1, 3, 3, 1)), 0)
