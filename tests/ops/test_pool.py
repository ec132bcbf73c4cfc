"""Pooling: hand numbers, naive loops over each window's cells, PyTorch, ties, kinks and NaN."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.gradcheck import GradcheckError, gradcheck
from tinygradconv.ops import pool
from tinygradconv.ops.pool import avg_pool2d, distance_pool2d, lp_pool2d, max_pool1d, max_pool2d, pool_scatter, sum_pool2d

from .parity import cases, channels_first, channels_last, close, ours, theirs

SUMS = {"max": max_pool2d, "avg": avg_pool2d, "sum": sum_pool2d, "lp": lp_pool2d, "distance": distance_pool2d}


def naive(kind, x, kernel, stride, padding, dilation, ceil_mode=False, weights=None):
    """One window at a time: list its cells inside the image, then say what the name says."""
    N, H, W, C = x.shape
    places = []
    for size, k, s, (before, after), d in zip((H, W), kernel, stride, padding, dilation):
        room = before + size + after - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        places.append(count - 1 if ceil_mode and (count - 1) * s >= size + before else count)
    y = np.zeros((N, *places, C))
    for n, oy, ox, c in np.ndindex(*y.shape):
        values, taps = [], []
        for ky, kx in np.ndindex(*kernel):
            iy, ix = oy * stride[0] + ky * dilation[0] - padding[0][0], ox * stride[1] + kx * dilation[1] - padding[1][0]
            if 0 <= iy < H and 0 <= ix < W:
                values.append(x[n, iy, ix, c])
                distance = (ky - (kernel[0] - 1) / 2) ** 2 + (kx - (kernel[1] - 1) / 2) ** 2
                taps.append(np.exp(-distance / 2 / (max(kernel) / 4) ** 2) if weights is None else weights[ky, kx])
        v, t = np.array(values), np.array(taps)
        y[n, oy, ox, c] = POOLED[kind](v, t) if values else 0
    return y


POOLED = {"max": lambda v, t: v.max(), "avg": lambda v, t: v.mean(), "sum": lambda v, t: v.sum(),
          "lp": lambda v, t: np.sqrt((v * v).sum()), "distance": lambda v, t: (t * v).sum() / t.sum()}


@given(case=cases(half=True, images=(0, 1, 2), channels=(1, 3), most=7), kind=st.sampled_from(sorted(SUMS)), ceil_mode=st.booleans(),
       dtype=st.sampled_from((np.float32, np.float64)))
def test_each_window_is_pooled_over_its_cells_inside_the_image(backend, case, kind, ceil_mode, dtype):
    x = np.random.default_rng(0).standard_normal(case.x).astype(dtype)
    y = SUMS[kind](x, case.kernel, ceil_mode=ceil_mode, **case.options)
    expected = naive(kind, x.astype(float), case.kernel, ceil_mode=ceil_mode, **case.options)
    seen = np.isfinite(y.numpy()) | (kind != "max")            # a dilated window may lie astride an image of one row: −∞
    close(np.where(seen, y.numpy(), 0), expected.astype(dtype))


@given(case=cases(half=True, symmetric=True, images=(1, 2), channels=(1, 3)), ceil_mode=st.booleans())
def test_max_pool_is_pytorchs_with_its_gradient_and_double_backward(backend, case, ceil_mode):
    F = pytest.importorskip("torch").nn.functional
    random = np.random.default_rng(0)
    x = random.permutation(int(np.prod(case.x))).reshape(case.x).astype(np.float64)
    y = max_pool2d(x, case.kernel, ceil_mode=ceil_mode, **case.options)
    if not np.isfinite(y.numpy()).all():
        return                                                  # PyTorch refuses such a window, or reads past it
    g, weights = random.standard_normal(y.shape), [random.standard_normal(case.x)]
    mine = ours(lambda x: max_pool2d(x, case.kernel, ceil_mode=ceil_mode, **case.options), [x], g, weights)
    yours = theirs(lambda x: channels_last(F.max_pool2d(channels_first(x), case.kernel, ceil_mode=ceil_mode, **case.options)), [x],
                   g, weights)
    for got, expected in zip(mine, yours):
        close(got, expected)


@given(case=cases(half=True, symmetric=True, images=(1, 2), channels=(1, 3)), ceil_mode=st.booleans())
def test_average_pool_is_pytorchs_that_does_not_count_padding(backend, case, ceil_mode):
    F = pytest.importorskip("torch").nn.functional
    options = {**case.options, "dilation": 1}
    if any(k > n + 2 * p for k, n, p in zip(case.kernel, case.x[1:3], options["padding"])):
        return
    random = np.random.default_rng(0)
    x = random.standard_normal(case.x)
    y = avg_pool2d(x, case.kernel, ceil_mode=ceil_mode, **options)
    g, weights = random.standard_normal(y.shape), [random.standard_normal(case.x)]
    mine = ours(lambda x: avg_pool2d(x, case.kernel, ceil_mode=ceil_mode, **options), [x], g, weights)
    fixed = (case.kernel, options["stride"], options["padding"], ceil_mode, False)
    yours = theirs(lambda x: channels_last(F.avg_pool2d(channels_first(x), *fixed)), [x], g, weights)
    for got, expected in zip(mine, yours):
        close(got, expected)


@pytest.mark.parametrize("p", [1, 2, 2.5, 3])
@pytest.mark.parametrize("kernel, stride, ceil_mode", [(2, None, False), (3, 2, False), (3, 2, True)])
def test_lp_pool_is_pytorchs_on_positive_numbers(backend, rng, p, kernel, stride, ceil_mode):
    F = pytest.importorskip("torch").nn.functional
    x = rng.uniform(0.5, 2, (2, 7, 7, 3))
    y = lp_pool2d(x, kernel, p, stride=stride, ceil_mode=ceil_mode)
    mine = ours(lambda x: lp_pool2d(x, kernel, p, stride=stride, ceil_mode=ceil_mode), [x], np.ones(y.shape))
    yours = theirs(lambda x: channels_last(F.lp_pool2d(channels_first(x), p, kernel, stride, ceil_mode)), [x], np.ones(y.shape))
    for got, expected in zip(mine, yours):
        close(got, expected)


@pytest.mark.parametrize("kind", sorted(SUMS))
@pytest.mark.parametrize("options", [{}, {"stride": 1, "padding": 1},
                                     {"stride": (1, 2), "padding": ((1, 0), (0, 1)), "ceil_mode": True, "dilation": (1, 2)}])
def test_derivatives_to_second_order(backend, rng, kind, options):
    x = rng.standard_normal((1, 5, 4, 2))
    gradcheck(lambda x: SUMS[kind](x, 2, **options) ** 3, [x])


@pytest.mark.parametrize("p", [1, 1.5, 3])
def test_lp_derivatives_of_signed_values(backend, rng, p):
    gradcheck(lambda x: lp_pool2d(x, 2, p, stride=1), [rng.standard_normal((1, 3, 3, 2))])


def test_a_pool_that_scatters_a_thousandth_too_much_is_noticed(rng):
    from tinygradconv.ops.pool import _max_pool2d
    lame = tgc.Primitive(_max_pool2d.forward, byproducts=("where",), name="lame")
    lame.vjp(x=lambda g, where, geo: pool_scatter(g, where, geo=geo) * 1.001)
    x = rng.standard_normal((1, 4, 4, 1))
    geo = max_pool2d(tgc.Tensor(x, requires_grad=True), 2).node.options["geo"]
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: lame(x, geo=geo), [x], order=1)


# ---- the lecture

def test_width_three_stride_two_with_the_smaller_last_region(backend):
    x = np.array([0.1, 1.0, 0.2, 0.1, 0.0, 0.1]).reshape(1, 6, 1)
    assert max_pool1d(x, 3, stride=2).numpy().ravel().tolist() == [1.0, 0.2]
    assert max_pool1d(x, 3, stride=2, ceil_mode=True).numpy().ravel().tolist() == [1.0, 0.2, 0.1]


def test_alexnets_overlapping_pooling_gives_27(backend):
    assert max_pool2d(np.zeros((1, 55, 55, 1), np.float32), 3, stride=2).shape == (1, 27, 27, 1)


# ---- ties, NaN, kinks

def test_among_equals_the_first_gets_the_gradient(backend):
    x = tgc.Tensor(np.zeros((1, 4, 4, 1)), requires_grad=True)
    max_pool2d(x, 2).sum().backward()
    assert x.grad.numpy().reshape(4, 4).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_nan_wins_and_padding_never_does(backend):
    x = np.full((1, 2, 2, 1), -5.0)
    assert max_pool2d(x, 2, stride=1, padding=1).numpy().max() == -5.0
    x[0, 1, 1, 0] = np.nan
    t = tgc.Tensor(x, requires_grad=True)
    y = max_pool2d(t, 2)
    assert np.isnan(y.numpy()).all()
    y.backward(np.ones((1, 1, 1, 1)))
    assert t.grad.numpy().ravel().tolist() == [0, 0, 0, 1]
    assert np.isnan(lp_pool2d(x, 2).numpy()).all()


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_the_gradient_of_an_all_zero_window_is_zero(backend, p):
    x = tgc.Tensor(np.zeros((1, 2, 2, 1)), requires_grad=True)
    y = lp_pool2d(x, 2, p)
    (d,) = tgc.grad(y, [x], create_graph=True)
    assert y.item() == 0 and d.numpy().ravel().tolist() == [0] * 4
    assert tgc.grad(d.sum(), x).numpy().ravel().tolist() == [0] * 4


def test_the_gaussian_is_two_deviations_wide_and_the_users_weights_are_normalised(backend):
    window = pool.gaussian_window(4, 4)
    assert window[0, 1] / window[1, 1] == pytest.approx(np.exp(-(1.5 ** 2 - 0.5 ** 2) / 2))
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    assert distance_pool2d(x, 3, [[0, 1, 0], [1, 4, 1], [0, 1, 0]]).item() == 4.0
    assert distance_pool2d(x, 3, [[0, 0, 0], [0, 1, 3], [0, 0, 0]]).item() == (4 + 3 * 5) / 4
    assert distance_pool2d(np.ones((1, 3, 3, 1)), 3, stride=1, padding=1).numpy() == pytest.approx(1)


@given(case=cases(half=True, images=(1,), channels=(2,), most=5))
def test_the_users_weights_are_those_of_the_loop(backend, case):
    random = np.random.default_rng(0)
    x, weights = random.standard_normal(case.x), random.uniform(0.5, 1, case.kernel)
    close(distance_pool2d(x, case.kernel, weights, **case.options), naive("distance", x, case.kernel, weights=weights, **case.options))


@given(length=st.integers(1, 12), kernel=st.integers(1, 4), stride=st.integers(1, 3), ceil_mode=st.booleans(),
       kind=st.sampled_from(sorted(SUMS)))
def test_one_dimension_is_an_image_of_one_row(backend, length, kernel, stride, ceil_mode, kind):
    pads = (kernel // 2, (kernel - 1) // 2)
    x = np.random.default_rng(0).standard_normal((2, length, 3))
    if length + sum(pads) < kernel:
        return
    one = getattr(pool, f"{kind}_pool1d")(x, kernel, stride=stride, padding=pads, ceil_mode=ceil_mode)
    expected = naive(kind, x[:, None], (1, kernel), (1, stride), ((0, 0), pads), (1, 1), ceil_mode)
    close(one, expected[:, 0])


def test_integers_become_float32(backend):
    assert max_pool2d(np.arange(4).reshape(1, 2, 2, 1), 2).dtype == np.float32
    assert avg_pool2d(np.arange(4).reshape(1, 2, 2, 1), 2).item() == 1.5


Z = np.zeros


@pytest.mark.parametrize("call, kind, message", [
    (lambda: max_pool2d(Z((1, 8, 8, 1)), 3, padding=2), ValueError,
     "max_pool2d: padding must be at most half of the window, got 2 rows of padding for a window that spans 3. "
     "Pad x itself if windows outside the image are wanted"),
    (lambda: avg_pool2d(Z((1, 8, 8, 1)), 2, padding=((0, 0), (0, 2))), ValueError,
     "avg_pool2d: padding must be at most half of the window, got 2 columns of padding for a window that spans 2. "
     "Pad x itself if windows outside the image are wanted"),
    (lambda: max_pool2d(Z((8, 8, 1)), 2), ValueError,
     "max_pool2d: x must have four axes (N, H, W, C), got shape (8, 8, 1). Add the image axis: x[None]"),
    (lambda: max_pool1d(Z((8, 1)), 2), ValueError,
     "max_pool1d: x must have three axes (N, L, C), got shape (8, 1). Add the batch axis: x[None]"),
    (lambda: max_pool2d(Z((1, 2, 2, 1)), 3), ValueError,
     "max_pool2d: a window that spans 3×3 does not fit into an image of 2×2 with padding (top 0, bottom 0, left 0, right 0). "
     "Use a smaller kernel_size or more padding"),
    (lambda: max_pool2d(Z((1, 2, 2, 1)), 0), ValueError, "max_pool2d: kernel_size must be at least 1, got 0"),
    (lambda: sum_pool2d(Z((1, 2, 2, 1)), 2, stride=0), ValueError, "sum_pool2d: stride must be at least 1, got 0"),
    (lambda: max_pool1d(Z((1, 9, 1)), (2, 2)), TypeError, "max_pool1d: kernel_size must be an integer, got (2, 2) of type tuple"),
    (lambda: lp_pool2d(Z((1, 2, 2, 1)), 2, 0.5), ValueError,
     "lp_pool2d: p must be a number with 1 ≤ p < ∞, got 0.5. For p = ∞ use max_pool2d"),
    (lambda: lp_pool2d(Z((1, 2, 2, 1)), 2, np.inf), ValueError,
     "lp_pool2d: p must be a number with 1 ≤ p < ∞, got inf. For p = ∞ use max_pool2d"),
    (lambda: distance_pool2d(Z((1, 2, 2, 1)), 2, np.ones(3)), ValueError,
     "distance_pool2d: weights must have the shape (2, 2) of the window, got (3,)"),
    (lambda: distance_pool2d(Z((1, 2, 2, 1)), 2, -np.ones((2, 2))), ValueError,
     "distance_pool2d: weights must be finite, not negative and not all 0, got [[-1.0, -1.0], [-1.0, -1.0]]"),
    (lambda: distance_pool2d(Z((1, 2, 2, 1)), 2, tgc.Tensor(np.ones((2, 2)), requires_grad=True)), TypeError,
     "distance_pool2d: weights are constants here, but this tensor requires a gradient. "
     "To learn them use a convolution with groups = channels"),
])
def test_a_wrong_call_is_told_what_to_do(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
