"""Tensors from nothing, against NumPy's."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc


@pytest.mark.parametrize("made, expected", [
    (lambda: tgc.zeros((2, 3)), np.zeros((2, 3), np.float32)),
    (lambda: tgc.ones(3, np.float64), np.ones(3)),
    (lambda: tgc.full((2,), 1.5), np.array([1.5, 1.5], np.float32)),
    (lambda: tgc.full((2,), 7), np.array([7, 7])),
    (lambda: tgc.zeros_like(np.ones((2, 2))), np.zeros((2, 2))),
    (lambda: tgc.ones_like(tgc.Tensor([True])), np.array([True])),
    (lambda: tgc.arange(4), np.arange(4)),
    (lambda: tgc.arange(1.0, 2.0, 0.25), np.array([1, 1.25, 1.5, 1.75], np.float32)),
    (lambda: tgc.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32)),
    (lambda: tgc.eye(2, 3), np.eye(2, 3, dtype=np.float32)),
])
def test_values_and_dtypes(made, expected):
    got = made()
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


def test_asarray_copies_arrays_and_keeps_tensors():
    array = np.ones(2)
    tensor = tgc.asarray(array)
    array[0] = 5
    assert tensor.tolist() == [1, 1] and tgc.asarray(tensor) is tensor
    assert tgc.asarray(tensor, np.float32).dtype == np.float32
