"""Gradients in buckets: the oracle is the sum of each rank's own gradients, taken without buckets."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.parallel.threads import ThreadGroup, together
from tinygradconv import Tensor, tanh
from tinygradconv.autodiff import grad
from tinygradconv.parallel import Buckets, Group
from tinygradconv.parallel.buckets import filled


def network(widths, rank, dtype):
    """Leaves, and a loss that uses them one after another; the input is each rank's own."""
    rng = np.random.default_rng(0)
    leaves = [Tensor(rng.normal(size=(a, b)).astype(dtype), requires_grad=True) for a, b in zip(widths, widths[1:])]

    def loss(step):
        x = Tensor(np.random.default_rng(100 * rank + step).normal(size=(2, widths[0])).astype(dtype))
        for leaf in leaves:
            x = tanh(x @ leaf)
        return (x * x).mean()
    return leaves, loss


@given(widths=st.lists(st.integers(1, 5), min_size=2, max_size=6), size=st.integers(1, 3), bytes_each=st.sampled_from([1, 64, 10**6]),
       dtype=st.sampled_from([np.float32, np.float64]))
def test_buckets_hold_the_sums_of_the_ranks_gradients_by_their_shares(widths, size, bytes_each, dtype):
    shares = np.arange(1, size + 1) / sum(range(1, size + 1))

    def rank(group):
        leaves, loss = network(widths, group.rank, dtype)
        unused = Tensor(np.ones(3, dtype), requires_grad=True)
        buckets = Buckets(group, bytes_each)
        return [[g.numpy().copy() for g in buckets.grad(loss(step), [*leaves, unused], shares[group.rank])] for step in range(3)]
    found = together(size, rank)
    for step in range(3):
        expected = 0
        for r in range(size):
            leaves, loss = network(widths, r, dtype)
            expected = [shares[r] * g.numpy().astype(float) + (0 if isinstance(expected, int) else expected[i])
                        for i, g in enumerate(grad(loss(step), leaves))]
        for mine in found:
            assert [g.dtype for g in mine[step]] == [dtype] * len(widths)
            for g, e, first in zip(mine[step], expected, found[0][step]):
                np.testing.assert_allclose(g, e, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-7 if dtype == np.float32 else 1e-14)
                assert np.array_equal(g, first)                                             # the same bits on every rank
            assert not mine[step][-1].any()


def test_a_bucket_is_sent_as_soon_as_it_is_full_while_the_layers_below_are_at_work():
    """The backward pass of the first layer notes how many sums were on their way when it ran."""
    from tinygradconv.autodiff import primitive
    seen = []

    class Counting(ThreadGroup):
        started = 0

        def start_sum(self, array):
            self.started += 1
            return super().start_sum(array)

    @primitive
    def below(be, x, *, group):
        return x * 1
    below.vjp(x=lambda g, group: (seen.append((group.rank, group.started)), g)[1])

    def rank(group):
        group.__class__ = Counting
        a, b, c = (Tensor(np.full(4, v), requires_grad=True) for v in (1.0, 2.0, 3.0))
        buckets = Buckets(group, 1)
        for _ in range(2):
            group.started = 0
            buckets.grad((below(a * a, group=group) * b * c).sum(), [a, b, c], 0.5)
    together(2, rank)
    assert sorted(seen) == [(0, 0), (0, 2), (1, 0), (1, 2)]            # in the first step the order is not known yet


def test_buckets_are_cut_where_they_are_full_and_where_the_dtype_changes():
    xs = [Tensor(np.zeros(n, dtype)) for n, dtype in ((4, "float32"), (4, "float32"), (100, "float32"), (1, "float64"), (1, "float64"))]
    assert filled(xs, [7, 8, 9, 4, 5], 32) == [[7, 8], [9], [4, 5]]
    assert filled([], [], 32) == []


def test_one_rank_alone_gets_its_gradients_unchanged():
    x = Tensor([3.0], requires_grad=True)
    (g,) = Buckets(Group()).grad((x * x).sum(), [x])
    assert g.numpy().tolist() == [6.0]
