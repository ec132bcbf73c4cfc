"""The three convolutions of CUDA kernels, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.conv import cuda as kernels
from tinygradconv.kernels.conv import layout

from .convolutions import DEVICE, PLAIN, SMALL, SMALLEST, TEMPLATES, check, fresh, geometry, launched, small

__all__ = ["fresh", "small"]               # fixtures
LISTED = {
    "1×1": geometry((2, 3, 3, 5), 1, 6),
    "1×1, stride 2": geometry((1, 4, 5, 4), 1, 4, stride=2),
    "3×3": geometry((1, 4, 5, 4), 3, 8, padding=1),
    "3×3, stride 2": geometry((2, 5, 4, 3), 3, 4, stride=2, padding=1),
    "5×5": geometry((1, 4, 5, 2), 5, 3, padding=2),
    "7×7, stride 2": geometry((1, 8, 7, 1), 7, 2, stride=2, padding=3),
    "dilation 2": geometry((1, 6, 5, 2), 3, 3, padding=2, dilation=2),
    "dilation 2, stride 2": geometry((1, 6, 7, 2), 3, 2, stride=2, padding=2, dilation=2),
    "dilation 3, stride 2": geometry((1, 7, 6, 1), 2, 2, stride=2, padding=1, dilation=3),
    "stride 3, dilation 2": geometry((1, 6, 7, 2), 2, 2, stride=3, padding=2, dilation=2),
    "stride wider than the filter": geometry((1, 7, 8, 2), 2, 3, stride=3),
    "stride wider than the image": geometry((1, 2, 3, 2), 2, 3, stride=5, padding=3),
    "groups 2": geometry((1, 3, 4, 12), 2, 10, groups=2, padding=1),
    "depthwise": geometry((1, 4, 4, 5), 3, 5, groups=5, padding=1),
    "depthwise, two filters a channel": geometry((1, 4, 9, 3), 3, 6, groups=3, stride=2, padding=1),
    "groups of few channels": geometry((1, 3, 6, 6), 2, 4, groups=2, dilation=(1, 2), padding=1),
    "1 channel": geometry((2, 4, 4, 1), 3, 6),
    "3 channels": geometry((1, 5, 5, 3), 3, 4),
    "asymmetric padding": geometry((1, 3, 4, 2), (3, 2), 3, padding=((2, 0), (0, 3))),
    "empty batch": geometry((0, 3, 3, 2), 3, 4),
}


@pytest.mark.parametrize("name", LISTED)
def test_listed(name, small):
    check(LISTED[name])


@st.composite
def geometries(draw, channels=(1, 2, 3, 4, 8)):
    """Any small convolution that fits."""
    groups = draw(st.sampled_from((1, 1, 1, 2)))
    kernel, stride, dilation = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (3, 3, 2))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])) for i in range(2)]
    H, W = (draw(st.integers(n, n + 2)) for n in least)
    C, O = (draw(st.sampled_from(channels)) * groups for _ in range(2))
    return geometry((draw(st.integers(1, 2)), H, W, C), kernel, O, stride, groups, padding=padding, dilation=dilation)


@settings(max_examples=5, deadline=None)
@given(geo=geometries(), dtype=st.sampled_from([np.float32, np.float64]))
def test_convolutions_are_the_references(geo, dtype):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SHAPES", SMALLEST)
        check(geo, dtype)


@pytest.mark.parametrize("C, O, vector", [(4, 8, 4), (8, 2, 1), (2, 8, 1)])
def test_groups_of_whole_vectors_are_loaded_as_such(C, O, vector, small, monkeypatch):
    seen = launched(monkeypatch)
    check(geometry((1, 3, 3, 2 * C), 2, 2 * O, groups=2))
    assert seen == [(name, "float32", SMALL, vector) for name in TEMPLATES] or C * O <= kernels.FEW


def test_an_address_that_is_crooked_is_loaded_number_by_number(small, monkeypatch):
    seen, geo = launched(monkeypatch), geometry((1, 2, 3, 4), 1, 4)
    crooked = np.zeros(25, np.float32)[1:].reshape(geo.x_shape)
    y = DEVICE.empty(geo.y_shape, np.float32)
    kernels.conv2d_forward(DEVICE, crooked, np.ones(geo.w_shape, np.float32), *PLAIN[:3], None, y, 0, geo)
    assert [constants[3] for constants in seen] == [1] and not y.any()


@pytest.mark.parametrize("scale, bias, residual", [(True, False, False), (False, True, True), (True, True, True)])
@pytest.mark.parametrize("activation", [0, 1, 2])
@pytest.mark.parametrize("name", ["3×3", "depthwise"])
def test_what_follows_the_sum(name, scale, bias, residual, activation, small):
    geo, rng = LISTED[name], np.random.default_rng(9)
    given = [rng.standard_normal(shape).astype(np.float32) if there else None
             for there, shape in ((scale, (geo.O,)), (bias, (geo.O,)), (residual, geo.y_shape))]
    check(geo, which=("forward",), after=(*given, activation))


def test_relu_lets_nan_through(small):
    geo = geometry((1, 1, 2, 1), 1, 1)
    x, y = np.array([np.nan, 1], np.float32).reshape(geo.x_shape), DEVICE.empty(geo.y_shape, np.float32)
    kernels.conv2d_forward(DEVICE, x, np.ones(geo.w_shape, np.float32), *PLAIN[:3], None, y, 1, geo)
    assert np.isnan(y[0, 0, 0]) and y[0, 0, 1] == 1


@pytest.mark.parametrize("laid_out, name", [(layout.forward, "conv2d"), (layout.grad_input, "conv2d_grad_input"),
                                            (layout.grad_weight, "conv2d_grad_weight")])
def test_sizes_beyond_what_a_kernel_counts_are_named(laid_out, name):
    far = geometry((1, 1, 1, 1), 1, 1, padding=((2**31 - 9, 0), (0, 0)), stride=2**30)
    with pytest.raises(ValueError, match=rf"{name}: on a GPU a padded image has fewer than 1,073,741,824 rows and columns, got 2,147"):
        laid_out(far, "float32", 1)
    with pytest.raises(ValueError, match=rf"{name}: on a GPU an image, .* at most 2,147,483,647 numbers, got 2,147,48.*Use x.to\('cpu'\)"):
        laid_out(geometry((1, 2**15, 2**15, 2), 1, 2), "float32", 1)
    with pytest.raises(ValueError, match=rf"{name}: on a GPU a stride is less than 32,768, got 40000 × 1"):
        laid_out(geometry((1, 40001, 1, 1), 1, 1, stride=(40000, 1)), "float32", 1)
    with pytest.raises(ValueError, match=rf"{name}: .* all images together have at most 2,147,479,551 pixels, got 2,147,483,648\. Split"):
        laid_out(geometry((2**21, 32, 32, 1), 1, 1), "float32", 1)
