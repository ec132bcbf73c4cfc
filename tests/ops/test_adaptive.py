"""Adaptive, global and channel pooling: PyTorch, naive loops, ties, errors."""
from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.backends import ABSTRACT
from tinygradconv.gradcheck import gradcheck
from tinygradconv.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d, channel_max_pool, global_avg_pool, global_max_pool

from .parity import channels_first, channels_last, close, ours, theirs

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(size=SIZES, places=SIZES, dtype=st.sampled_from((np.float32, np.float64)), kind=st.sampled_from(("avg", "max")))
def test_adaptive_pooling_is_pytorchs(backend, size, places, dtype, kind):
    F = pytest.importorskip("torch").nn.functional
    mine = {"avg": adaptive_avg_pool2d, "max": adaptive_max_pool2d}[kind]
    yours = {"avg": F.adaptive_avg_pool2d, "max": F.adaptive_max_pool2d}[kind]
    random = np.random.default_rng(0)
    x, g = random.standard_normal((2, *size, 3)).astype(dtype), random.standard_normal((2, *places, 3)).astype(dtype)
    torchs = theirs(lambda x: channels_last(yours(channels_first(x), places)), [x], g)
    for got, expected in zip(ours(lambda x: mine(x, places), [x], g), torchs):
        close(got, expected)


@given(size=st.integers(1, 17), places=st.integers(1, 17), kind=st.sampled_from(("avg", "max")))
def test_adaptive_pooling_of_sequences_is_pytorchs(backend, size, places, kind):
    F = pytest.importorskip("torch").nn.functional
    mine, yours = getattr(tgc, f"adaptive_{kind}_pool1d"), getattr(F, f"adaptive_{kind}_pool1d")
    random = np.random.default_rng(0)
    x, g = random.standard_normal((2, size, 3)), random.standard_normal((2, places, 3))
    torchs = theirs(lambda x: yours(x.transpose(1, 2), places).transpose(1, 2), [x], g)
    for got, expected in zip(ours(lambda x: mine(x, places), [x], g), torchs):
        close(got, expected)


@pytest.mark.parametrize("kind, plain", [("avg", np.mean), ("max", np.max)])
def test_adaptive_windows_of_a_sequence_by_hand(backend, kind, plain):
    x = np.array([3.0, 1, 4, 1, 5, 9, 2])
    expected = [plain(x[0:3]), plain(x[2:5]), plain(x[4:7])]               # ⌊i·7/3⌋ … ⌈(i+1)·7/3⌉
    close(getattr(tgc, f"adaptive_{kind}_pool1d")(x[None, :, None], 3).numpy().ravel(), np.array(expected))


@pytest.mark.parametrize("places", [2, 3, 5])
def test_adaptive_derivatives_of_sequences_to_second_order(backend, rng, places):
    x = rng.standard_normal((1, 6, 2))
    gradcheck(lambda x: tgc.adaptive_avg_pool1d(x, places) ** 3, [x])
    gradcheck(lambda x: tgc.adaptive_max_pool1d(x, places) ** 3, [x])


@pytest.mark.parametrize("places", [(2, 3), (3, 2), (5, 6)])
def test_adaptive_derivatives_to_second_order(backend, rng, places):
    x = rng.standard_normal((1, 4, 6, 2))
    gradcheck(lambda x: adaptive_avg_pool2d(x, places) ** 3, [x])
    gradcheck(lambda x: adaptive_max_pool2d(x, places) ** 3, [x])


def test_a_very_large_result_costs_what_its_windows_cost(backend):
    """2¹⁴ windows on each axis are two short lists, not 2²⁸ cells; on shapes alone nothing else is made."""
    for pool in adaptive_avg_pool2d, adaptive_max_pool2d:
        x = tgc.Tensor.of(ABSTRACT.empty((1, 9, 8, 3), np.dtype(np.float32))).requires_grad_()
        tracemalloc.start()
        y = pool(x, 2**14)
        tgc.grad(y, x, tgc.Tensor.of(ABSTRACT.empty(y.shape, y.dtype)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert y.shape == (1, 2**14, 2**14, 3) and most < 2**22
    with pytest.raises(ValueError, match="adaptive_avg_pool2d: output_size must be at most 65,536, got 1×65,537"):
        adaptive_avg_pool2d(np.zeros((1, 1, 3, 1)), (1, 2**16 + 1))


def test_pooling_to_the_same_size_is_the_image_itself(backend, rng):
    x = tgc.Tensor(rng.standard_normal((2, 3, 4, 5)))
    assert adaptive_avg_pool2d(x, (3, 4)) is x and adaptive_max_pool2d(x, (3, 4)) is x


def test_one_infinity_stays_in_its_own_windows(backend):
    x = np.zeros((1, 1, 5, 1))
    x[0, 0, 0, 0] = np.inf
    assert adaptive_avg_pool2d(x, (1, 3)).numpy().ravel().tolist() == [np.inf, 0, 0]


@pytest.mark.parametrize("size, places", [(6, 3), (5, 3), (7, 2)])
def test_among_equals_the_first_gets_the_gradient(backend, size, places):
    x = tgc.Tensor(np.zeros((1, size, size, 1)), requires_grad=True)
    adaptive_max_pool2d(x, places).sum().backward()
    starts = {i * size // places for i in range(places)}
    assert {tuple(int(i) for i in at) for at in np.argwhere(x.grad.numpy()[0, :, :, 0])} == {(i, j) for i in starts for j in starts}


@given(shape=st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9)), kind=st.sampled_from(("avg", "max")))
def test_global_pooling_is_a_reduction_over_all_places(backend, shape, kind):
    x = np.random.default_rng(0).standard_normal(shape)
    pooled = {"avg": global_avg_pool, "max": global_max_pool}[kind]
    expected = x.mean((1, 2)) if kind == "avg" else x.max((1, 2))
    close(pooled(x), expected)
    close(pooled(x.reshape(shape[0], shape[1] * shape[2], shape[3])), expected)
    close(pooled(x[:, :, None]), expected)


def test_channel_pooling_answers_for_any_filter_of_the_group(backend):
    x = np.array([[[[1.0, 5.0, 2.0, 7.0, 0.0, 7.0]]]])
    t = tgc.Tensor(x, requires_grad=True)
    y = channel_max_pool(t, 3)
    assert y.numpy().ravel().tolist() == [5, 7] and y.shape == (1, 1, 1, 2)
    y.sum().backward()
    assert t.grad.numpy().ravel().tolist() == [0, 1, 0, 1, 0, 0]


@given(lead=st.lists(st.integers(0, 3), max_size=3), groups=st.integers(1, 4), size=st.integers(1, 4))
def test_channel_pooling_is_a_maximum_over_an_axis(backend, lead, groups, size):
    x = np.random.default_rng(0).standard_normal((*lead, groups * size))
    close(channel_max_pool(x, size), x.reshape(*lead, groups, size).max(-1))


def test_global_and_channel_derivatives_to_second_order(backend, rng):
    x = rng.standard_normal((2, 3, 2, 4))
    for f in (global_avg_pool, global_max_pool, lambda x: channel_max_pool(x, 2)):
        gradcheck(lambda x, f=f: f(x) ** 3, [x])


@pytest.mark.parametrize("call, message", [
    (lambda: adaptive_avg_pool2d(np.zeros((4, 4, 1)), 2), "adaptive_avg_pool2d: x must have four axes (N, H, W, C), got shape (4, 4, 1)"),
    (lambda: adaptive_max_pool2d(np.zeros((1, 4, 4, 1)), 0), "adaptive_max_pool2d: output_size must be at least 1, got 0"),
    (lambda: adaptive_max_pool2d(np.zeros((1, 0, 4, 1)), 2),
     "adaptive_max_pool2d: x has shape (1, 0, 4, 1): an image of 0×4 has nothing to pool"),
    (lambda: global_max_pool(np.zeros((4, 4))),
     "global_max_pool: x must be (N, …, C) with at least one axis of places in between, none of length 0, got shape (4, 4)"),
    (lambda: channel_max_pool(np.zeros((1, 2, 2, 4)), 3),
     "channel_max_pool: size (=3) must divide the number of channels on the last axis of x, which has shape (1, 2, 2, 4)"),
])
def test_a_wrong_call_is_told_what_to_do(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
