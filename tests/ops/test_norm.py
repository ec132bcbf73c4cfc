"""Normalisation: the fused kernels against a composition of small ops to second order, against PyTorch, and its edges."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.gradcheck import GradcheckError, gradcheck
from tinygradconv.ops.norm import batch_norm, batch_norm_inference, group_norm, layer_norm, local_response_norm

from .parity import channels_first, channels_last, close, ours, theirs

DTYPES = (np.float32, np.float64)
SHAPES = st.tuples(st.integers(2, 4), st.lists(st.integers(1, 4), max_size=3), st.integers(1, 9)).map(lambda s: (s[0], *s[1], s[2]))


def composed(x, scale, shift, epsilon=1e-5):
    """Batch norm by its formula, of ops that have rules of their own."""
    axes = tuple(range(x.ndim - 1))
    centred = x - x.mean(axes)
    return centred / tgc.sqrt((centred * centred).mean(axes) + epsilon) * scale + shift


def example(shape, dtype=np.float64):
    random = np.random.default_rng(0)
    C = shape[-1]
    arrays = [random.standard_normal(shape), random.uniform(0.5, 2, C), random.standard_normal(C)]
    weights = [random.standard_normal(a.shape) for a in arrays]
    return [a.astype(dtype) for a in arrays], random.standard_normal(shape).astype(dtype), weights


@given(shape=SHAPES)
def test_batch_norm_is_its_composition_to_second_order(backend, shape):
    arrays, g, weights = example(shape)
    fused = ours(lambda *t: batch_norm(*t)[0], arrays, g, weights)
    for got, expected in zip(fused, ours(composed, arrays, g, weights)):
        close(got, expected, factor=1e3)                           # two rows that nearly agree divide by a small deviation, thrice
    for got, expected in zip(ours(lambda *t: batch_norm(*t)[0], arrays, g), fused):
        close(got, expected, factor=1e2)                           # the fused kernel and the composition that is recorded agree


@given(shape=SHAPES, dtype=st.sampled_from(DTYPES))
def test_batch_norm_is_pytorchs(backend, shape, dtype):
    F = pytest.importorskip("torch").nn.functional
    arrays, g, _ = example(shape, dtype)

    def run(x, scale, shift):
        return channels_last(F.batch_norm(channels_first(x), None, None, scale, shift, training=True))
    for got, expected in zip(ours(lambda *t: batch_norm(*t)[0], arrays, g), theirs(run, arrays, g)):
        close(got, expected, factor=50)
    _, mean, variance = batch_norm(*arrays)
    axes = tuple(range(len(shape) - 1))
    close(mean, arrays[0].mean(axes, dtype=np.float64).astype(dtype))
    close(variance, arrays[0].astype(np.float64).var(axes).astype(dtype))


def block(x, scale, shift, residual, activation=None):
    """What the fused op replaces, of ops that have rules of their own."""
    z = composed(x, scale, shift) + residual
    return tgc.relu(z) if activation else z


def away_from_the_kink(arrays, seed=4):
    """x, scale, shift and a residual such that no sum lies near 0, where relu has no derivative."""
    z = composed(*[tgc.Tensor(a) for a in arrays]).numpy()
    wanted = np.random.default_rng(seed).uniform(0.1, 2, z.shape) * np.random.default_rng(seed + 1).choice([-1, 1], z.shape)
    return [*arrays, (wanted - z).astype(arrays[0].dtype)]


@given(shape=SHAPES, activation=st.sampled_from([None, "relu"]))
def test_residual_and_relu_are_their_composition_to_second_order(backend, shape, activation):
    arrays, g, weights = example(shape)
    arrays, weights = away_from_the_kink(arrays), [*weights, g]

    def fused_block(x, scale, shift, residual):
        return batch_norm(x, scale, shift, residual=residual, activation=activation)[0]
    fused = ours(fused_block, arrays, g, weights)
    for got, expected in zip(fused, ours(lambda *t: block(*t, activation), arrays, g, weights), strict=True):
        close(got, expected, factor=1e3)
    for got, expected in zip(ours(fused_block, arrays, g), fused):
        close(got, expected, factor=1e2)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_residual_and_relu_are_pytorchs(backend, dtype, activation):
    F = pytest.importorskip("torch").nn.functional
    arrays, g, weights = example((3, 4, 2, 5), dtype)
    arrays, weights = away_from_the_kink(arrays), None if dtype == np.float32 else [*weights, g]

    def run(x, scale, shift, residual):
        z = channels_last(F.batch_norm(channels_first(x), None, None, scale, shift, training=True)) + residual
        return F.relu(z) if activation else z
    mine = ours(lambda *t: batch_norm(*t[:3], residual=t[3], activation=activation)[0], arrays, g, weights)
    for got, expected in zip(mine, theirs(run, arrays, g, weights), strict=True):
        close(got, expected, factor=50)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_finite_differences_agree_with_residual_and_relu(backend, activation):
    arrays = away_from_the_kink(example((3, 2, 2))[0])
    gradcheck(lambda *t: batch_norm(*t[:3], residual=t[3], activation=activation)[0], arrays)
    gradcheck(lambda *t: batch_norm_inference(*t[:3], t[2], t[1], residual=t[3], activation=activation), arrays)


def test_the_residuals_cotangent_is_no_copy_without_an_activation(rng):
    x, residual = (tgc.Tensor(rng.standard_normal((4, 3)), requires_grad=True) for _ in range(2))
    y = batch_norm(x, np.ones(3), np.zeros(3), residual=residual)[0]
    seed = tgc.Tensor(rng.standard_normal((4, 3)))
    assert np.shares_memory(tgc.grad(y, residual, seed).numpy(), seed.numpy())


@pytest.mark.parametrize("activation", [None, "relu"])
def test_what_is_kept_is_x_the_statistics_and_for_relu_a_bit_a_value(rng, activation):
    x = tgc.Tensor(rng.standard_normal((4, 3)), requires_grad=True)
    kept = batch_norm(x, np.ones(3), np.zeros(3), residual=x, activation=activation)[0].node.kept
    assert {*kept} == {"x", "scale", "mean", "variance"} | ({"passed"} if activation else set())
    assert activation is None or kept["passed"][0].nbytes == 2


@pytest.mark.parametrize("activation", [None, "relu"])
def test_inference_in_one_pass_is_inference_of_small_ops(backend, rng, activation):
    x, residual = (rng.standard_normal((5, 3, 7)).astype(np.float32) for _ in range(2))
    scale, shift, mean, variance = (rng.uniform(0.5, 2, 7).astype(np.float32) for _ in range(4))
    fused = batch_norm_inference(x, scale, shift, mean, variance, residual=residual, activation=activation)
    live = batch_norm_inference(tgc.Tensor(x, requires_grad=True), scale, shift, mean, variance, residual=residual, activation=activation)
    wanted = scale * (x - mean) / np.sqrt(variance + np.float32(1e-5)) + shift + residual
    close(fused, np.maximum(wanted, 0) if activation else wanted)
    close(live, fused)
    assert batch_norm_inference(np.zeros((0, 3, 7)), scale, shift, mean, variance).shape == (0, 3, 7)


def test_double_backward_is_pytorchs(backend):
    F = pytest.importorskip("torch").nn.functional
    arrays, g, weights = example((3, 2, 2, 3))

    def run(x, scale, shift):
        return channels_last(F.batch_norm(channels_first(x), None, None, scale, shift, training=True))
    for got, expected in zip(ours(lambda *t: batch_norm(*t)[0], arrays, g, weights), theirs(run, arrays, g, weights)):
        close(got, expected, factor=10)


def test_finite_differences_agree_to_second_order(backend):
    arrays, _, _ = example((3, 2, 2))
    gradcheck(lambda *t: batch_norm(*t)[0], arrays)
    gradcheck(lambda *t: layer_norm(*t), arrays)
    gradcheck(lambda x, *t: group_norm(x, 2, *t), arrays)
    gradcheck(lambda x: local_response_norm(x, 2, alpha=0.5), arrays[:1])
    gradcheck(lambda x: local_response_norm(x, 3, alpha=0.5, beta=1.2, k=1), arrays[:1])
    gradcheck(lambda *t: batch_norm_inference(*t), [*arrays, arrays[2], arrays[1]])


def test_a_mean_treated_as_a_constant_is_noticed(rng):
    lame = tgc.custom_op(lambda x: (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), name="lame",
                         vjp=lambda g, x: g / tgc.sqrt((x * x).mean(0) - x.mean(0) ** 2 + 1e-5))
    with pytest.raises(GradcheckError):
        gradcheck(lame, [rng.standard_normal((4, 2))], order=1)


def test_hand_numbers(backend):
    y, mean, variance = batch_norm([[1.0], [3.0]], [2.0], [10.0], epsilon=0)
    assert (y.numpy().ravel().tolist(), mean.tolist(), variance.tolist()) == ([8, 12], [2], [1])
    assert batch_norm_inference([[1.0], [3.0]], [2.0], [10.0], [1.0], [4.0], epsilon=0).numpy().ravel().tolist() == [10, 12]
    assert batch_norm([[7.0]], [2.0], [10.0])[0].item() == 10
    assert layer_norm([[1.0, 3.0]], epsilon=0).tolist() == [[-1, 1]]
    assert group_norm([[1.0, 3.0, 10.0, 20.0]], 2, epsilon=0).tolist() == [[-1, 1, -1, 1]]


def test_an_offset_far_larger_than_the_deviation_is_taken_out(backend):
    x = (np.arange(64, dtype=np.float32) % 2 + 4096).reshape(64, 1)
    y, mean, variance = batch_norm(x, [1.0], [0.0], epsilon=0)
    assert (mean.item(), variance.item()) == (4096.5, 0.25)
    np.testing.assert_allclose(y.numpy().ravel(), np.where(np.arange(64) % 2, 1, -1), rtol=1e-5)


def test_the_statistics_are_constants(backend):
    x = tgc.Tensor(np.ones((2, 3)), requires_grad=True)
    y, mean, variance = batch_norm(x, np.ones(3), np.zeros(3))
    assert y.requires_grad and not mean.requires_grad and not variance.requires_grad


@given(shape=SHAPES, dtype=st.sampled_from(DTYPES), count=st.integers(1, 3))
def test_layer_norm_is_pytorchs(backend, shape, dtype, count):
    F = pytest.importorskip("torch").nn.functional
    count = min(count, len(shape))
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(s).astype(dtype) for s in (shape, shape[-count:], shape[-count:])]
    g = random.standard_normal(shape).astype(dtype)
    mine = ours(lambda *t: layer_norm(*t, axis=tuple(range(-count, 0))), arrays, g)
    for got, expected in zip(mine, theirs(lambda x, *t: F.layer_norm(x, shape[-count:], *t), arrays, g)):
        close(got, expected, factor=200)


def test_layer_norm_over_an_axis_in_the_middle(backend, rng):
    x = rng.standard_normal((2, 5, 3))
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    close(layer_norm(x, axis=1), expected)
    close(layer_norm(x, np.arange(5.0), axis=1), expected * np.arange(5.0)[:, None])


@given(shape=SHAPES, dtype=st.sampled_from(DTYPES), groups=st.integers(1, 3))
def test_group_norm_is_pytorchs(backend, shape, dtype, groups):
    F = pytest.importorskip("torch").nn.functional
    arrays, g, _ = example((*shape[:-1], shape[-1] * groups), dtype)
    mine = ours(lambda x, *t: group_norm(x, groups, *t), arrays, g)
    for got, expected in zip(mine, theirs(lambda x, *t: channels_last(F.group_norm(channels_first(x), groups, *t)), arrays, g)):
        close(got, expected, factor=200)


@given(shape=SHAPES.filter(lambda s: len(s) > 2), size=st.integers(1, 6), dtype=st.sampled_from(DTYPES), beta=st.sampled_from((0.75, 0.6)))
def test_local_response_norm_is_pytorchs(backend, shape, size, dtype, beta):
    F = pytest.importorskip("torch").nn.functional
    (x, _, _), g, _ = example(shape, dtype)
    mine = ours(lambda x: local_response_norm(x, size, alpha=0.3, beta=beta, k=2.0), [x], g)
    yours = theirs(lambda x: channels_last(F.local_response_norm(channels_first(x), size, 0.3, beta, 2.0)), [x], g)
    for got, expected in zip(mine, yours):
        close(got, expected)


@given(shape=SHAPES, size=st.integers(1, 6), beta=st.sampled_from((0.75, 0.6)))
def test_local_response_norm_is_its_composition_to_second_order(backend, shape, size, beta):
    (x, _, _), g, (weights, _, _) = example(shape)

    def composition(x):
        squares = tgc.square(x).reshape((int(np.prod(shape[:-1])), 1, shape[-1], 1))
        total = tgc.sum_pool2d(squares, (1, size), stride=1, padding=((0, 0), (size // 2, (size - 1) // 2))).reshape(shape)
        return x / (1.5 + total * (0.3 / size)) ** beta

    def fused(x):
        return local_response_norm(x, size, alpha=0.3, beta=beta, k=1.5)
    recorded = ours(fused, [x], g, [weights])
    for got, expected in zip(recorded, ours(composition, [x], g, [weights]), strict=True):
        close(got, expected)
    for got, expected in zip(ours(fused, [x], g), recorded):
        close(got, expected)


def test_local_response_norm_keeps_its_input_alone(rng):
    x = tgc.Tensor(rng.standard_normal((4, 3)), requires_grad=True)
    assert {*local_response_norm(x).node.kept} == {"x"}


def test_the_papers_local_response_norm_is_alpha_times_size(backend, rng):
    a, n, alpha = rng.standard_normal((2, 3, 3, 8)) * 30, 5, 1e-4
    expected = np.empty_like(a)
    for i in range(8):
        nearby = a[..., max(0, i - n // 2):min(7, i + n // 2) + 1]
        expected[..., i] = a[..., i] / (2 + alpha * (nearby ** 2).sum(-1)) ** 0.75
    close(local_response_norm(a, n, alpha=n * alpha), expected)


def test_empty_batches(backend):
    x, c = np.zeros((0, 2, 2, 4)), np.ones(4)
    for y in (batch_norm_inference(x, c, c, c, c), layer_norm(x, c, c), group_norm(x, 2, c, c), local_response_norm(x)):
        assert y.shape == x.shape
    t = tgc.Tensor(x, requires_grad=True)
    group_norm(layer_norm(t), 2).sum().backward()
    assert t.grad.shape == x.shape


X = np.zeros((2, 3, 4))


@pytest.mark.parametrize("call, message", [
    (lambda: batch_norm(X, np.ones(3), np.ones(4)),
     "batch_norm: scale must have shape (4,), one value per channel on the last axis of x (2, 3, 4), got (3,)"),
    (lambda: batch_norm(X[:0], np.ones(4), np.ones(4)),
     "batch_norm: an empty batch has no mean; x has shape (0, 3, 4). Use batch_norm_inference, or skip the batch"),
    (lambda: batch_norm(np.ones(4), np.ones(4), np.ones(4)),
     "batch_norm: x must have at least two axes (N, …, C), none after the first of length 0, got shape (4,)"),
    (lambda: batch_norm(X, np.ones(4), np.ones(4), epsilon=-1), "batch_norm: epsilon must be at least 0, got -1"),
    (lambda: layer_norm(X, np.ones(3)), "layer_norm: scale must have shape (4,), as the normalised axes of x (2, 3, 4), got (3,)"),
    (lambda: layer_norm(np.zeros((3, 0))), "layer_norm: there is no mean of no values; x has shape (3, 0), axis -1"),
    (lambda: group_norm(X, 3), "group_norm: groups (=3) must divide the channels on the last axis of x (=4)"),
    (lambda: group_norm(X, 0), "group_norm: groups must be at least 1, got 0"),
    (lambda: local_response_norm(X, 0), "local_response_norm: size must be at least 1, got 0"),
])
def test_a_wrong_call_is_told_what_to_do(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_a_torch_spelling_gets_an_answer():
    with pytest.raises(TypeError, match=r"layer_norm\(\) got 'eps'; tinygradconv follows NumPy: use epsilon="):
        layer_norm(X, eps=1e-3)
