"""Dropout: which values go is said by the bits, what stays is scaled, and the gradient drops the same."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.autodiff import grad
from tinygradconv.gradcheck import gradcheck
from tinygradconv.ops.dropout import dropout
from tinygradconv.ops.random import random_bits


@given(shape=st.lists(st.integers(0, 9), max_size=3), rate=st.floats(0, 0.99), key=st.integers(0, 2 ** 64 - 1),
       step=st.integers(0, 2 ** 64 - 1), dtype=st.sampled_from((np.float32, np.float64)))
def test_a_value_stays_where_its_bits_are_not_below_the_rate(backend, shape, rate, key, step, dtype):
    x = np.random.default_rng(0).standard_normal(tuple(shape)).astype(dtype)
    keep = random_bits(tuple(shape), key=key, step=step).numpy() >= int(rate * 2 ** 32)
    y = dropout(x, rate, key=key, step=step)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), np.where(keep, x.astype(float) / (1 - rate), 0), rtol=1e-6)


def test_the_share_that_goes_is_the_rate_and_the_mean_stays(backend):
    y = dropout(np.ones(100_000), 0.3, key=1, step=0).numpy()
    assert abs((y == 0).mean() - 0.3) < 0.006 and abs(y.mean() - 1) < 0.01


def test_the_gradient_drops_the_same_values_and_nothing_is_kept(backend):
    x = tgc.Tensor(np.ones(1000), requires_grad=True)
    y = dropout(x, 0.5, key=3, step=4)
    assert y.node.kept == {}
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_derivatives_to_second_order(backend, rng):
    gradcheck(lambda x: dropout(x, 0.5, key=1, step=2) ** 3, [rng.standard_normal((3, 4))])


def test_rate_zero_is_the_identity_and_another_step_drops_others(backend):
    x = tgc.Tensor(np.ones(64))
    assert dropout(x, 0, key=0, step=0) is x
    assert dropout(x, 0.5, key=0, step=0).tolist() != dropout(x, 0.5, key=0, step=1).tolist()
    assert dropout(np.ones(4, int), 0.5, key=0, step=0).dtype == np.float32


@pytest.mark.parametrize("rate, said", [(1, "1"), (1.0, "1.0"), (-0.1, "-0.1"), (float("nan"), "nan"), (True, "True")])
def test_a_rate_outside_its_range_is_an_error(rate, said):
    with pytest.raises(ValueError) as caught:
        dropout(np.ones(3), rate, key=0, step=0)
    assert str(caught.value) == f"dropout: rate must be at least 0 and less than 1, the share that is dropped, got {said}"


def test_a_key_is_64_bits():
    with pytest.raises(ValueError, match="dropout: key must be less than 2⁶⁴"):
        dropout(np.ones(3), 0.5, key=2 ** 64, step=0)


@given(rows=st.integers(1, 9), width=st.integers(1, 9), cut=st.integers(0, 9), rate=st.sampled_from([0.0, 0.3, 0.9]))
def test_a_part_of_the_rows_drops_what_the_whole_drops_of_them_and_so_does_its_gradient(rows, width, cut, rate):
    x = np.random.default_rng(rows).normal(size=(rows, width, 2)).astype(np.float32)
    whole = dropout(x, rate, key=7, step=3).numpy()
    at = min(cut, rows)
    part = tgc.Tensor(x[at:], requires_grad=True)
    y = dropout(part, rate, key=7, step=3, first_row=at)
    assert np.array_equal(y.numpy(), whole[at:])
    ones = np.ones_like(x)
    assert np.array_equal(grad(y, part, ones[at:]).numpy(), dropout(ones, rate, key=7, step=3).numpy()[at:])
