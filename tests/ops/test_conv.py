"""Convolution: hand numbers, naive loops, the matrix product of columns, PyTorch, and what a wrong call is told."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.gradcheck import GradcheckError, gradcheck
from tinygradconv.ops.conv import conv1d, conv1d_transpose, conv2d, conv2d_transpose
from tinygradconv.ops.conv_core import conv2d_forward, conv2d_grad_weight
from tinygradconv.ops.im2col import im2col

from .parity import cases, channels_first, channels_last, close, ours, theirs

DTYPES = (np.float32, np.float64)


def naive(x, w, stride, padding, dilation, groups):
    """The sum of conv2d's docstring, one loop per letter."""
    (sy, sx), ((top, bottom), (left, right)), (dy, dx) = stride, padding, dilation
    N, H, W, C = x.shape
    kh, kw, depth, outputs = w.shape
    OH = (top + H + bottom - dy * (kh - 1) - 1) // sy + 1
    OW = (left + W + right - dx * (kw - 1) - 1) // sx + 1
    y = np.zeros((N, OH, OW, outputs))
    for n, oy, ox, o in np.ndindex(*y.shape):
        group = o // (outputs // groups)
        for ky, kx, c in np.ndindex(kh, kw, depth):
            iy, ix = sy * oy + dy * ky - top, sx * ox + dx * kx - left
            if 0 <= iy < H and 0 <= ix < W:
                y[n, oy, ox, o] += x[n, iy, ix, group * depth + c] * w[ky, kx, c, o]
    return y


def example(case, dtype, seed=0):
    random = np.random.default_rng(seed)
    w_shape = (*case.kernel, case.x[3] // case.groups, case.outputs)
    return [random.standard_normal(s).astype(dtype) for s in (case.x, w_shape, (case.outputs,))]


def test_the_edge_filter_of_the_lecture(backend):
    image = [[3, 0, 1, 2, 7, 4], [1, 5, 8, 9, 3, 1], [2, 7, 2, 5, 1, 3], [0, 1, 3, 1, 7, 8], [4, 2, 1, 6, 2, 8], [2, 4, 5, 2, 3, 9]]
    x, w = tgc.Tensor(image, "float32").reshape(1, 6, 6, 1), tgc.Tensor([[1, 0, -1]] * 3, "float32").reshape(3, 3, 1, 1)
    assert conv2d(x, w).numpy().reshape(4, 4).tolist() == [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]


@given(case=cases(groups=(1, 2, 3), most=6, channels=(1, 2), images=(0, 1, 2)), dtype=st.sampled_from(DTYPES))
def test_conv2d_is_the_sum_in_its_docstring(backend, case, dtype):
    x, w, bias = example(case, dtype)
    expected = naive(x.astype(float), w.astype(float), groups=case.groups, **case.options) + bias
    close(conv2d(x, w, bias, groups=case.groups, **case.options), expected.astype(dtype))


@given(case=cases())
def test_conv2d_is_one_matmul_of_its_columns_to_second_order(backend, case):
    x, w, _ = example(case, np.float64)
    y = conv2d(x, w, **case.options)
    random = np.random.default_rng(1)
    g, weights = random.standard_normal(y.shape), [random.standard_normal(a.shape) for a in (x, w)]

    def composed(x, w):
        return (im2col(x, case.kernel, **case.options) @ w.reshape(-1, case.outputs)).reshape(y.shape)
    for got, expected in zip(ours(lambda x, w: conv2d(x, w, **case.options), [x, w], g, weights), ours(composed, [x, w], g, weights)):
        close(got, expected)


def torch_conv(case):
    from torch.nn.functional import conv2d as torch_conv2d
    from torch.nn.functional import pad
    (top, bottom), (left, right) = case.options["padding"]

    def run(x, w, bias):
        padded = pad(channels_first(x), (left, right, top, bottom))
        y = torch_conv2d(padded, w.permute(3, 2, 0, 1).contiguous(), bias, case.options["stride"], 0, case.options["dilation"], case.groups)
        return channels_last(y)
    return run


@given(case=cases(groups=(1, 2, 4), channels=(1, 3, 8), images=(1, 3)), dtype=st.sampled_from(DTYPES))
def test_values_and_gradients_are_pytorchs(backend, case, dtype):
    pytest.importorskip("torch")
    arrays = example(case, dtype)
    shape = conv2d(*arrays, groups=case.groups, **case.options).shape
    g = np.random.default_rng(2).standard_normal(shape).astype(dtype)
    mine = ours(lambda x, w, b: conv2d(x, w, b, groups=case.groups, **case.options), arrays, g)
    for got, expected in zip(mine, theirs(torch_conv(case), arrays, g)):
        close(got, expected, factor=4)


@given(case=cases(groups=(1, 2), channels=(1, 3), images=(1,), most=6))
def test_double_backward_is_pytorchs(backend, case):
    pytest.importorskip("torch")
    arrays, random = example(case, np.float64), np.random.default_rng(2)
    g = random.standard_normal(conv2d(*arrays, groups=case.groups, **case.options).shape)
    weights = [random.standard_normal(a.shape) for a in arrays]
    mine = ours(lambda x, w, b: conv2d(x, w, b, groups=case.groups, **case.options), arrays, g, weights)
    for got, expected in zip(mine, theirs(torch_conv(case), arrays, g, weights)):
        close(got, expected)


@given(size=st.tuples(st.integers(1, 12), st.integers(1, 12)), kernel=st.integers(1, 5), stride=st.integers(1, 3),
       dilation=st.integers(1, 2))
def test_same_padding_gives_one_output_per_stride(size, kernel, stride, dilation):
    x, w = np.ones((1, *size, 1), np.float32), np.ones((kernel, kernel, 1, 1), np.float32)
    assert conv2d(x, w, stride=stride, padding="same", dilation=dilation).shape == (1, -(-size[0] // stride), -(-size[1] // stride), 1)


def test_odd_same_padding_goes_after_the_image_as_pytorch_does_it(backend, rng):
    torch = pytest.importorskip("torch")
    x, w = rng.standard_normal((1, 5, 4, 2)), rng.standard_normal((3, 3, 2, 3))
    expected = torch.nn.functional.conv2d(channels_first(torch.tensor(x)), torch.tensor(w).permute(3, 2, 0, 1), padding="same")
    close(conv2d(x, w, padding="same"), channels_last(expected).numpy())
    assert conv2d([[[[1.0], [2.0]]]], [[[[10.0]], [[1.0]]]], padding="same").numpy().ravel().tolist() == [12, 20]


@pytest.mark.parametrize("groups", [1, 2])
def test_derivatives_to_second_order(backend, rng, groups):
    x, w, bias = rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((2, 3, 2 // groups, 2)), rng.standard_normal(2)
    gradcheck(lambda x, w, b: tgc.tanh(conv2d(x, w, b, stride=(2, 1), padding=((1, 0), (2, 1)), groups=groups)), [x, w, bias])


def test_third_order_of_a_cubic_is_exact(backend):
    x = tgc.Tensor(np.full((1, 1, 1, 1), 2.0), requires_grad=True)
    w = tgc.Tensor(np.full((1, 1, 1, 1), 3.0), requires_grad=True)
    y = (conv2d(x, w) ** 3).sum()                                                  # (x·w)³
    dx = tgc.grad(y, x, create_graph=True).sum()                                   # 3·w³·x²
    dxw = tgc.grad(dx, w, create_graph=True).sum()                                 # 9·w²·x²
    assert tgc.grad(dxw, x).item() == 18 * 9 * 2.0                                 # 18·w²·x


def test_a_wrong_rule_of_the_triad_is_noticed(rng):
    lame = tgc.Primitive(conv2d_forward.forward, name="lame", packs="w")
    lame.vjp(w=lambda g, x, geo: conv2d_grad_weight(x, g, geo=geo) * 1.001)
    x, w = rng.standard_normal((1, 3, 3, 1)), rng.standard_normal((2, 2, 1, 1))
    y = conv2d(tgc.Tensor(x), tgc.Tensor(w, requires_grad=True))
    geo = y.node.options["geo"]
    with pytest.raises(GradcheckError, match="expected .* got"):
        gradcheck(lambda w: lame(tgc.Tensor(x), w, geo=geo), [w], order=1)


# ---- one dimension, and transposed

@given(case=cases(groups=(1, 2), channels=(1, 3), images=(0, 1, 2)))
def test_conv1d_is_pytorchs(backend, case):
    F = pytest.importorskip("torch").nn.functional
    x, w, bias = example(case, np.float64)
    x, w = x[:, 0], w[0]
    k, s, d, pads = case.kernel[1], case.options["stride"][1], case.options["dilation"][1], case.options["padding"][1]
    y = conv1d(x, w, bias, stride=s, padding=pads, dilation=d, groups=case.groups)
    g = np.random.default_rng(0).standard_normal(y.shape)

    def run(x, w, b):
        return channels_last(F.conv1d(F.pad(channels_first(x), pads), w.permute(2, 1, 0).contiguous(), b, s, 0, d, case.groups))
    assert k == w.shape[0]
    if case.x[0]:
        mine = ours(lambda x, w, b: conv1d(x, w, b, stride=s, padding=pads, dilation=d, groups=case.groups), [x, w, bias], g)
        for got, expected in zip(mine, theirs(run, [x, w, bias], g)):
            close(got, expected)


@st.composite
def transposed(draw):
    """(x shape, w shape, options as ours and torch take them): padding is symmetric, as torch has no other."""
    groups = draw(st.sampled_from((1, 2)))
    kernel, stride, dilation = (tuple(draw(st.integers(1, n)) for _ in range(2)) for n in (4, 3, 2))
    size = tuple(draw(st.integers(1, 5)) for _ in range(2))
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    natural = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(size, stride, dilation, kernel, extra)]
    pads = tuple(draw(st.integers(0, min(3, (n - 1) // 2))) for n in natural)
    inner, outer = (draw(st.integers(1, 3)) for _ in range(2))
    options = {"stride": stride, "padding": pads, "output_padding": extra, "dilation": dilation, "groups": groups}
    return (draw(st.integers(1, 2)), *size, outer * groups), (*kernel, inner, outer * groups), options


def torch_filter(w):
    """Our (kh, kw, I/groups, O) as torch's (O, I/groups, kh, kw): a transposed convolution of torch's has O channels in."""
    return w.permute(3, 2, 0, 1).contiguous()


@given(problem=transposed(), dtype=st.sampled_from(DTYPES))
def test_conv2d_transpose_is_pytorchs(backend, problem, dtype):
    F = pytest.importorskip("torch").nn.functional
    x_shape, w_shape, options = problem
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, (w_shape[2] * options["groups"],))]
    g = random.standard_normal(conv2d_transpose(*arrays, **options).shape).astype(dtype)

    def run(x, w, b):
        return channels_last(F.conv_transpose2d(channels_first(x), torch_filter(w), b, **options))
    mine = ours(lambda x, w, b: conv2d_transpose(x, w, b, **options), arrays, g)
    for got, expected in zip(mine, theirs(run, arrays, g)):
        close(got, expected, factor=4)


@given(case=cases(groups=(1, 2)))
def test_conv2d_transpose_is_the_adjoint_of_conv2d_with_the_same_weights(backend, case):
    x, w, _ = example(case, np.float64)
    y = conv2d(x, w, groups=case.groups, **case.options)
    rest = [(n + sum(pad) - d * (k - 1) - 1) % s for n, pad, d, k, s in
            zip(case.x[1:3], case.options["padding"], case.options["dilation"], case.kernel, case.options["stride"])]
    g = np.random.default_rng(1).standard_normal(y.shape)
    back = conv2d_transpose(g, w, output_padding=tuple(rest), groups=case.groups, **case.options)
    assert back.shape == case.x
    np.testing.assert_allclose((y.numpy() * g).sum(), (back.numpy() * x).sum(), rtol=1e-9, atol=1e-9)


def test_transposed_to_second_order_and_in_one_dimension(backend, rng):
    x, w, bias = rng.standard_normal((1, 3, 2)), rng.standard_normal((3, 2, 2)), rng.standard_normal(2)
    gradcheck(lambda x, w, b: tgc.tanh(conv1d_transpose(x, w, b, stride=2, padding=(1, 0), output_padding=1)), [x, w, bias])
    one = conv1d_transpose(x, w, bias, stride=2, padding=(1, 0), output_padding=1)
    two = conv2d_transpose(x[:, None], w[None], bias, stride=(1, 2), padding=((0, 0), (1, 0)), output_padding=(0, 1))
    np.testing.assert_array_equal(one.numpy(), two.numpy()[:, 0])


@pytest.mark.parametrize("kernel, stride", [(3, 2), (2, 2), (4, 2), (1, 3), (5, 1)])
def test_transposed_same_padding_multiplies_the_size_by_the_stride(backend, kernel, stride):
    y = conv2d_transpose(np.ones((1, 3, 5, 1)), np.ones((kernel, kernel, 1, 1)), stride=stride, padding="same")
    assert y.shape == (1, 3 * stride, 5 * stride, 1)


# ---- dtypes and errors

def test_dtypes_are_promoted(backend):
    x, w = np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 1))
    assert conv2d(x.astype(np.float32), w).dtype == np.float64
    assert conv2d(x.astype(int), w.astype(np.float32)).dtype == np.float32
    assert conv2d(x.astype(np.uint8), w.astype(bool)).dtype == np.float32
    x32 = tgc.Tensor(x.astype(np.float32), requires_grad=True)
    conv2d(x32, w).sum().backward()
    assert x32.grad.dtype == np.float32


def test_strided_views_are_as_good_as_copies(backend, rng):
    wide = tgc.Tensor(rng.standard_normal((2, 3, 6, 5)))
    view = wide.permute_dims((0, 2, 3, 1))
    w = rng.standard_normal((2, 2, 3, 4))
    np.testing.assert_array_equal(conv2d(view, w).numpy(), conv2d(view.numpy().copy(), w).numpy())


Z = np.zeros


@pytest.mark.parametrize("call, message", [
    (lambda: conv2d(Z((8, 28, 28, 1)), Z((5, 5, 3, 6))),
     "conv2d: w expects 3 input channels but x has 1 on its last axis. x is (8, 28, 28, 1); w is (5, 5, 3, 6)."),
    (lambda: conv2d(Z((8, 3, 224, 224)), Z((7, 7, 3, 64))),
     "conv2d: w expects 3 input channels but x has 224 on its last axis. "
     "x (8, 3, 224, 224) looks channels-first: use x.permute_dims((0, 2, 3, 1))"),
    (lambda: conv2d(Z((8, 3, 32, 32)), Z((64, 3, 7, 7))),
     "conv2d: w expects 7 input channels but x has 32 on its last axis. "
     "w (64, 3, 7, 7) looks like PyTorch's (channels out, channels in / groups, kh, kw): use w.permute_dims((2, 3, 1, 0)); "
     "x (8, 3, 32, 32) looks channels-first: use x.permute_dims((0, 2, 3, 1))"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 3, 4)), groups=2),
     "conv2d: w expects 6 input channels (3 in each of 2 groups) but x has 4 on its last axis. x is (1, 8, 8, 4); w is (3, 3, 3, 4)."),
    (lambda: conv1d(Z((2, 3, 9)), Z((5, 3, 4))),
     "conv1d: w expects 3 input channels but x has 9 on its last axis. x (2, 3, 9) looks channels-first: use x.permute_dims((0, 2, 1))"),
    (lambda: conv1d(Z((2, 7, 9)), Z((5, 3, 4))),
     "conv1d: w expects 3 input channels but x has 9 on its last axis. x is (2, 7, 9); w is (5, 3, 4)."),
    (lambda: conv2d(Z((8, 8, 3)), Z((3, 3, 3, 4))),
     "conv2d: x must have four axes (N, H, W, C), got shape (8, 8, 3). Add the image axis: x[None]"),
    (lambda: conv2d(Z((1, 8, 8, 3)), Z((3, 3, 3))),
     "conv2d: w must have four axes (kh, kw, channels in / groups, channels out), got shape (3, 3, 3)"),
    (lambda: conv1d(Z((8, 3)), Z((3, 3, 3))), "conv1d: x must have three axes (N, L, C), got shape (8, 3). Add the batch axis: x[None]"),
    (lambda: conv1d(Z((1, 8, 3)), Z((3, 3))), "conv1d: w must have three axes (k, channels in / groups, channels out), got shape (3, 3)"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 2, 3)), groups=2), "conv2d: groups (=2) must divide the channels on the last axis of w (=3)"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 2, 4)), groups=0), "conv2d: groups must be at least 1, got 0"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((0, 3, 4, 4))),
     "conv2d: every axis of w (kh, kw, channels in / groups, channels out) must be at least 1, got shape (0, 3, 4, 4)"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), stride=0), "conv2d: stride must be at least 1, got 0"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), stride=-1), "conv2d: stride must be at least 1, got -1"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), dilation=0), "conv2d: dilation must be at least 1, got 0"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), padding=-1), "conv2d: padding must be at least 0, got -1"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), padding="some"), "conv2d: padding must be integers, 'same' or 'valid', got 'some'"),
    (lambda: conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 5)), Z(4)), "conv2d: bias must have shape (5,), one value per output channel, got (4,)"),
    (lambda: conv2d(Z((1, 2, 8, 4)), Z((3, 3, 4, 5))),
     "conv2d: a window that spans 3×3 does not fit into an image of 2×8 with padding (top 0, bottom 0, left 0, right 0). "
     "Use a smaller kernel_size or more padding"),
    (lambda: conv2d_transpose(Z((1, 8, 8, 4)), Z((3, 3, 4, 5))),
     "conv2d_transpose: w has 5 channels on its last axis but x has 4 on its last axis. x is (1, 8, 8, 4); w is (3, 3, 4, 5). "
     "A transposed convolution keeps the weights of the convolution it transposes: w is (kh, kw, channels of y / groups, channels of x)"),
    (lambda: conv2d_transpose(Z((1, 8, 8, 4)), Z((3, 3, 5, 4)), stride=2, output_padding=2),
     "conv2d_transpose: output_padding must be smaller than stride, got output_padding (2, 2) with stride (2, 2)"),
    (lambda: conv2d_transpose(Z((1, 1, 1, 4)), Z((3, 3, 5, 4)), padding=2),
     "conv2d_transpose: x of 1×1 with kernel_size (3, 3), stride (1, 1), padding ((2, 2), (2, 2)) would give an image of -1×-1. "
     "Use less padding"),
    (lambda: conv1d(Z((1, 8, 3)), Z((3, 3, 3)), padding=(1, 2, 3)),
     "conv1d: padding must be one integer or two (before, after), got (1, 2, 3)"),
])
def test_a_wrong_call_is_told_what_to_do(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_a_stride_that_is_no_integer_is_a_type_error_whatever_was_called_before():
    conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), stride=1)
    with pytest.raises(TypeError, match="conv2d: stride must be an integer, got 1.0 of type float"):
        conv2d(Z((1, 8, 8, 4)), Z((3, 3, 4, 4)), stride=1.0)
