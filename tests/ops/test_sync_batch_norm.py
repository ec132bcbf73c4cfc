"""Batch norm of a batch whose rows several ranks have: the oracle is batch_norm of the whole batch, and small ops."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.parallel.threads import together
from tinygradconv import Tensor
from tinygradconv.autodiff import grad
from tinygradconv.ops.sync_batch_norm import all_reduce_sum, sync_batch_norm
from tinygradconv.parallel import Group
from tinygradconv.parallel.group import share_of


def case(counts, C, dtype, rng, mean=3.0):
    """x, residual and g of all rows, scale, shift, and where each rank's rows are."""
    N = sum(counts)
    x, residual, g = (rng.normal(size=(N, 2, 3, C)).astype(dtype) for _ in range(3))
    ends = np.cumsum([0, *counts])
    return x * 2 + dtype(mean), residual, g, rng.normal(size=C).astype(dtype), rng.normal(size=C).astype(dtype), \
        [slice(a, b) for a, b in zip(ends[:-1], ends[1:])]


def whole(x, scale, shift, residual, g, activation):
    """y, statistics and the gradients of one process with all rows."""
    leaves = [Tensor(a, requires_grad=True) for a in (x, scale, shift, residual)]
    y, mean, variance = tgc.batch_norm(*leaves[:3], residual=leaves[3], activation=activation)
    return [t.numpy() for t in (y, mean, variance, *grad(y, leaves, g))]


@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=3).filter(sum), C=st.sampled_from([1, 3, 8, 17]),
       activation=st.sampled_from([None, "relu"]), mean=st.sampled_from([0.0, 30.0]))
def test_the_ranks_together_get_what_one_gets_of_the_whole_batch(dtype, within, counts, C, activation, mean):
    x, residual, g, scale, shift, rows = case(counts, C, dtype, np.random.default_rng(C), mean)
    y, m, v, dx, dscale, dshift, dresidual = whole(x, scale, shift, residual, g, activation)

    def rank(group):
        at = rows[group.rank]
        leaves = [Tensor(a, requires_grad=True) for a in (x[at], scale, shift, residual[at])]
        out, *statistics, count = sync_batch_norm(*leaves[:3], group, residual=leaves[3], activation=activation)
        assert count.item() == x.size // C
        return [t.numpy() for t in (out, *statistics, *grad(out, leaves, g[at]))]
    found = together(len(counts), rank)
    tolerance = {"rtol": within, "atol": within * (1 + mean)}
    for r, (out, rm, rv, *gradients) in enumerate(found):
        np.testing.assert_allclose(out, y[rows[r]], **tolerance)
        np.testing.assert_allclose(gradients[0], dx[rows[r]], **tolerance)
        np.testing.assert_allclose(gradients[3], dresidual[rows[r]], **tolerance)
        np.testing.assert_allclose(rm, m, **tolerance)
        np.testing.assert_allclose(rv, v, **tolerance)
        assert np.array_equal(rm, found[0][1]) and np.array_equal(rv, found[0][2])                 # the same bits on every rank
    np.testing.assert_allclose(sum(f[4] for f in found), dscale, rtol=within, atol=within * 50)
    np.testing.assert_allclose(sum(f[5] for f in found), dshift, rtol=within, atol=within * 50)


def test_statistics_of_its_own_rows_would_be_noticed(rng):
    x, residual, g, scale, shift, rows = case([3, 4], 5, np.float64, rng)
    y = tgc.batch_norm(x, scale, shift)[0].numpy()
    own = tgc.batch_norm(x[rows[0]], scale, shift)[0].numpy()
    assert np.abs(own - y[rows[0]]).max() > 0.01


@pytest.mark.parametrize("activation", [None, "relu"])
def test_second_derivatives_are_those_of_the_whole_batch(activation, rng):
    x, residual, g, scale, shift, rows = case([2, 3], 3, np.float64, rng)
    weights = rng.normal(size=x.shape)

    def second(x, scale, shift, residual, g, weights, forward):
        x, scale = Tensor(x, requires_grad=True), Tensor(scale, requires_grad=True)
        y = forward(x, scale, shift, residual)
        (dx,) = grad(y, [x], g, create_graph=True)
        return [t.numpy() for t in grad(dx, [x, scale], weights)]
    ddx, ddscale = second(x, scale, shift, residual, g, weights, lambda x, scale, shift, residual:
                          tgc.batch_norm(x, scale, shift, residual=residual, activation=activation)[0])

    def rank(group):
        at = rows[group.rank]
        return second(x[at], scale, shift, residual[at], g[at], weights[at], lambda x, scale, shift, residual:
                      sync_batch_norm(x, scale, shift, group, residual=residual, activation=activation)[0])
    found = together(2, rank)
    np.testing.assert_allclose(np.concatenate([f[0] for f in found]), ddx, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found[0][1] + found[1][1], ddscale, rtol=1e-10, atol=1e-10)


def test_a_sum_over_ranks_is_its_own_adjoint():
    """y = x₀ + x₁ on both; L = 2·y₀ + 3·y₁ summed: ∂L/∂x₀ = ∂L/∂x₁ = 5."""
    def rank(group):
        x = Tensor([1.0 + group.rank, 10.0], requires_grad=True)
        y = all_reduce_sum(x, group)
        return y.numpy().tolist(), grad(y, x, np.float32([2.0 + group.rank] * 2)).numpy().tolist()
    assert together(2, rank) == [([3.0, 20.0], [5.0, 5.0])] * 2


def test_errors_name_the_op():
    with pytest.raises(ValueError, match=r"^sync_batch_norm: an empty batch has no mean; no rank has any rows\. Skip the batch$"):
        sync_batch_norm(np.zeros((0, 3)), np.ones(3), np.zeros(3), Group())
    with pytest.raises(ValueError, match=r"^sync_batch_norm: scale must have shape \(3,\)"):
        sync_batch_norm(np.zeros((2, 3)), np.ones(2), np.zeros(3), Group())


@given(count=st.integers(0, 50), size=st.integers(1, 9))
def test_shares_are_all_the_rows_once_in_order_and_even(count, size):
    shares = [share_of(count, rank, size) for rank in range(size)]
    assert [i for a, b in shares for i in range(a, b)] == list(range(count))
    assert max(b - a for a, b in shares) - min(b - a for a, b in shares) <= 1
    assert shares[0][1] - shares[0][0] == max(b - a for a, b in shares)
