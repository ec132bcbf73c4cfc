"""conv2d_forward, conv2d_grad_input, conv2d_grad_weight: reference against naive loops, Cython against the reference."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels import ACTIVATIONS
from tinygradconv.kernels.conv import reference

from tinygradconv.geometry import Conv2dGeometry

from .convolutions import PLAIN, by_cython, by_definition, calls, packed
from .variants import TOLERANCE, TYPES, assert_close, poisoned, random, variants, workspace

COMPILED = variants("conv")
SIZES = (1, 2, 7, 8, 9, 16, 17, 33)


@st.composite
def geometries(draw, channels=SIZES, images=(0, 1, 2, 5, 9), side=19):
    """Any convolution that fits: sizes on both sides of a vector, stride, dilation, groups, padding wider than the filter."""
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    kernel, stride, dilation = ((draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (5, 3, 3))
    padding = tuple((draw(st.integers(0, 6)), draw(st.integers(0, 6))) for _ in range(2))
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])) for i in range(2)]
    H, W = (draw(st.integers(n, max(n, side))) for n in least)
    shape = (draw(st.sampled_from(images)), H, W, draw(st.sampled_from(channels)) * groups)
    return Conv2dGeometry.of("test", shape, kernel, stride=stride, padding=padding, dilation=dilation,
                             O=draw(st.sampled_from(channels)) * groups, groups=groups)


def arrays(geo, dtype):
    """x, w, g for a geometry."""
    return random(1, geo.x_shape, dtype), random(2, geo.w_shape, dtype), random(3, geo.y_shape, dtype)


def naive(geo, x, w, g):
    """The three sums of T(x, w, g), seven loops of Python."""
    y, dx, dw = np.zeros(geo.y_shape), np.zeros(geo.x_shape), np.zeros(geo.w_shape)
    depth, width = geo.C // geo.groups, geo.O // geo.groups
    for n, oy, ox, ky, kx, c, o in itertools.product(*map(range, (geo.N, geo.OH, geo.OW, geo.kh, geo.kw, depth, geo.O))):
        iy, ix, channel = geo.sy * oy + geo.dy * ky - geo.top, geo.sx * ox + geo.dx * kx - geo.left, o // width * depth + c
        if 0 <= iy < geo.H and 0 <= ix < geo.W:
            y[n, oy, ox, o] += x[n, iy, ix, channel] * w[ky, kx, c, o]
            dx[n, iy, ix, channel] += g[n, oy, ox, o] * w[ky, kx, c, o]
            dw[ky, kx, c, o] += x[n, iy, ix, channel] * g[n, oy, ox, o]
    return y, dx, dw


@given(geometries(channels=(1, 2, 3), images=(0, 1, 2), side=6))
def test_reference_is_seven_nested_loops(geo):
    x, w, g = arrays(geo, np.float64)
    for (name, inputs, shape), want in zip(calls(geo, x, w, g), naive(geo, x, w, g)):
        assert_close(by_definition(reference, "conv2d", name, inputs, shape, geo), want, 1e-12)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=geometries())
def test_cython_is_the_reference_and_fills_everything(module, kind, geo):
    for name, inputs, shape in calls(geo, *arrays(geo, TYPES[kind])):
        want = by_definition(reference, "conv2d", name, inputs, shape, geo)
        assert_close(by_cython(module, "conv2d", name, inputs, shape, geo, kind), want, TOLERANCE[kind])


@st.composite
def epilogues(draw, geo, dtype):
    """scale, bias, residual and activation: each there or not."""
    def maybe(seed, shape):
        return random(seed, shape, dtype) if draw(st.booleans()) else None
    return maybe(4, (geo.O,)), maybe(5, (geo.O,)), maybe(6, geo.y_shape), draw(st.sampled_from(sorted(ACTIVATIONS.values())))


@given(st.data())
def test_what_follows_the_sum_in_the_reference_is_written_out(data):
    geo = data.draw(geometries(channels=(1, 2, 3), images=(0, 1, 2), side=6))
    scale, bias, residual, activation = after = data.draw(epilogues(geo, np.float64))
    x, w, g = arrays(geo, np.float64)
    z = naive(geo, x, w, g)[0]
    z = z if scale is None else z * scale
    z = z if bias is None else z + bias
    z = z if residual is None else z + residual
    want = (z, np.where(z < 0, 0, z), np.tanh(z))[activation]
    assert_close(by_definition(reference, "conv2d", "forward", (x, w), geo.y_shape, geo, after), want, 1e-12)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(data=st.data())
def test_what_follows_the_sum_is_the_references(module, kind, data):
    geo = data.draw(geometries())
    after = data.draw(epilogues(geo, TYPES[kind]))
    x, w, _ = arrays(geo, TYPES[kind])
    got = by_cython(module, "conv2d", "forward", (x, w), geo.y_shape, geo, kind, after=after)
    assert_close(got, by_definition(reference, "conv2d", "forward", (x, w), geo.y_shape, geo, after), TOLERANCE[kind])


# Long sums in several chains, strips of several rows and images, tasks of several column blocks, partial sums of several chunks.
LARGE = {
    "rows in strips": dict(x_shape=(1, 40, 41, 70), kernel_size=3, padding=1, O=24),
    "images together": dict(x_shape=(17, 5, 5, 30), kernel_size=3, padding=1, O=20),
    "column blocks": dict(x_shape=(2, 6, 7, 300), kernel_size=1, O=150),
    "large weights": dict(x_shape=(2, 4, 4, 130), kernel_size=3, padding=1, O=260),
    "depthwise": dict(x_shape=(2, 12, 11, 40), kernel_size=3, padding=1, stride=2, O=40, groups=40),
    "depthwise, two each": dict(x_shape=(2, 9, 9, 17), kernel_size=(3, 2), dilation=2, O=34, groups=17),
    "stride past the filter": dict(x_shape=(3, 17, 16, 9), kernel_size=2, stride=5, padding=1, O=5),
    "windows in the padding": dict(x_shape=(1, 2, 2, 3), kernel_size=2, padding=5, stride=2, O=4),
    "padding is most of it": dict(x_shape=(40, 6, 5, 16), kernel_size=5, padding=4, O=6),
    "padding, and many parts": dict(x_shape=(9, 7, 7, 512), kernel_size=3, padding=1, O=40),
    "parts of a stride": dict(x_shape=(3, 14, 13, 96), kernel_size=3, padding=1, stride=2, O=128),
    "read in place": dict(x_shape=(2, 30, 40, 64), kernel_size=1, stride=2, O=72),
    "images in place": dict(x_shape=(7, 9, 11, 30), kernel_size=1, stride=2, O=70),
    "long rows in place": dict(x_shape=(1, 3, 1400, 29), kernel_size=1, stride=(1, 2), O=67),
    "part of an odd depth": dict(x_shape=(5, 14, 13, 136), kernel_size=3, padding=1, stride=2, O=70),
    "many phases": dict(x_shape=(2, 20, 33, 5), kernel_size=(7, 6), padding=(3, 2), stride=(3, 4), O=9),
    "few channels": dict(x_shape=(9, 14, 14, 6), kernel_size=5, O=16),
    "few channels and a stride": dict(x_shape=(5, 21, 18, 3), kernel_size=3, padding=(9, 1), stride=2, dilation=(2, 1), O=20),
    "few channels of large images": dict(x_shape=(2, 131, 140, 3), kernel_size=7, padding=3, stride=2, O=20),
    "few channels in long rows": dict(x_shape=(1, 9, 1500, 3), kernel_size=5, padding=1, stride=2, O=8),
    "outputs that fill no vector": dict(x_shape=(5, 28, 28, 1), kernel_size=5, padding=2, O=6),
    "two tiles of outputs": dict(x_shape=(3, 19, 40, 2), kernel_size=(2, 3), padding=(0, 1), O=10),
    "three outputs in strips": dict(x_shape=(2, 70, 61, 3), kernel_size=(3, 2), dilation=(2, 3), padding=(4, 9), O=3),
    "rows shorter than a vector": dict(x_shape=(4, 50, 3, 1), kernel_size=(4, 1), padding=(1, 0), O=5),
    "one output of one row": dict(x_shape=(3, 1, 900, 1), kernel_size=(1, 7), padding=(0, 3), O=1),
    "places in long rows": dict(x_shape=(1, 2, 700, 3), kernel_size=(1, 5), padding=(0, 2), O=7),
}


def large(name):
    return Conv2dGeometry.of("test", **{"stride": 1, **LARGE[name]})


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("shape_name", LARGE)
def test_cython_is_the_reference_where_work_is_divided(shape_name, module, kind):
    geo = large(shape_name)
    for name, inputs, shape in calls(geo, *arrays(geo, TYPES[kind])):
        want = by_definition(reference, "conv2d", name, inputs, shape, geo)
        assert_close(by_cython(module, "conv2d", name, inputs, shape, geo, kind), want, TOLERANCE[kind])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("shape_name", ["outputs that fill no vector", "two tiles of outputs", "three outputs in strips",
                                        "rows shorter than a vector", "one output of one row", "images together", "few channels"])
def test_what_follows_meets_its_own_rows_where_work_is_divided(shape_name, module, kind):
    geo = large(shape_name)
    x, w, _ = arrays(geo, TYPES[kind])
    for activation in ACTIVATIONS.values():
        after = (*(random(seed, shape, TYPES[kind]) for seed, shape in ((4, (geo.O,)), (5, (geo.O,)), (6, geo.y_shape))), activation)
        want = by_definition(reference, "conv2d", "forward", (x, w), geo.y_shape, geo, after)
        one, two = (by_cython(module, "conv2d", "forward", (x, w), geo.y_shape, geo, kind, threads, after) for threads in (1, 2))
        assert_close(two, want, TOLERANCE[kind])
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("shape_name", LARGE)
def test_the_bits_do_not_depend_on_the_threads(shape_name, module):
    geo = large(shape_name)
    for name, inputs, shape in calls(geo, *arrays(geo, np.float32)):
        one, two, three = (by_cython(module, "conv2d", name, inputs, shape, geo, "float", threads).tobytes() for threads in (1, 2, 3))
        assert one == two == three, name


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=geometries(images=(1, 2)))
def test_the_three_are_adjoint(module, geo):
    x, w, g = arrays(geo, np.float64)
    y, dx, dw = (by_cython(module, "conv2d", *call, geo, "double") for call in calls(geo, x, w, g))
    scale = 1 + np.abs(g).sum() * np.abs(y).max()
    assert abs((g * y).sum() - (dx * x).sum()) < 1e-12 * scale
    assert abs((g * y).sum() - (dw * w).sum()) < 1e-12 * scale


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_infinity_and_nan_stay_where_they_belong(module):
    geo = Conv2dGeometry.of("test", (1, 5, 5, 2), 3, padding=1, stride=1, O=3)
    x, w, _ = arrays(geo, np.float32)
    w[0, 0, 0, 0] = np.inf
    x[0, 4, 4, 1] = np.nan
    for after in PLAIN, (None, None, None, ACTIVATIONS["relu"]), (None, None, None, ACTIVATIONS["tanh"]):
        y = by_cython(module, "conv2d", "forward", (x, w), geo.y_shape, geo, "float", after=after)
        assert np.isnan(y[0, 3:, 3:]).all()
        assert np.isfinite(y[0, :3, :3, 1:]).all()


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("O", [2, 6])
def test_a_nan_at_the_end_of_a_row_reaches_the_windows_over_it_alone(module, O):
    geo = Conv2dGeometry.of("test", (2, 9, 21, 1), 3, stride=1, padding=1, O=O)
    x, w, _ = arrays(geo, np.float32)
    x[0, 8, 20] = x[1, 4, 20] = np.nan
    y = by_cython(module, "conv2d", "forward", (x, w), geo.y_shape, geo, "float")
    seen = np.zeros(geo.y_shape, bool)
    seen[0, 7:, 19:] = seen[1, 3:6, 19:] = True
    assert np.array_equal(np.isnan(y), seen)


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_an_infinite_cotangent_reaches_the_pixels_under_its_window_alone(module):
    geo = Conv2dGeometry.of("test", (1, 6, 9, 2), 3, stride=1, padding=0, O=3)
    _, w, g = arrays(geo, np.float32)
    g[0, 1, 3, 0] = np.inf
    dx = by_cython(module, "conv2d", "grad_input", (g, w), geo.x_shape, geo, "float")
    under = np.zeros(geo.x_shape, bool)
    under[0, 1:4, 3:6] = True
    assert np.array_equal(~np.isfinite(dx), under)


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_a_small_workspace_is_refused_by_name(module):
    geo = Conv2dGeometry.of("test", (1, 5, 5, 2), 3, padding=1, stride=1, O=3)
    wants = r"workspace must have at least \d+ bytes, got 3\. Size it with conv2d_\w+_workspace"
    for name, inputs, shape in calls(geo, *arrays(geo, np.float32)):
        activation = ()
        if name == "forward":
            inputs, activation = (inputs[0], packed(module, "conv2d", inputs[1], geo, "float"), *PLAIN[:3]), PLAIN[3:]
        with pytest.raises(ValueError, match=f"conv2d_{name}: {wants}"):
            getattr(module, f"conv2d_{name}")["float"](*inputs, workspace(3), poisoned(shape, np.float32), *activation, geo)
    x, w, _ = arrays(geo, np.float32)
    with pytest.raises(ValueError, match=r"packed must have at least \d+ bytes, got 3\. Size it with conv2d_forward_packed_bytes"):
        module.conv2d_forward["float"](x, workspace(3), *PLAIN[:3], workspace(9999), poisoned(geo.y_shape, np.float32), 0, geo)
    with pytest.raises(ValueError, match=r"conv2d_forward_pack: packed must have at least \d+ bytes, got 3\."):
        module.conv2d_forward_pack["float"](w, workspace(3), geo)


@given(geo=geometries(channels=(1, 3, 8, 17), images=(1, 2)))
def test_torch_computes_the_same(geo):
    torch = pytest.importorskip("torch")
    x, w, g = arrays(geo, np.float64)
    tx = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().requires_grad_()
    tw = torch.from_numpy(w).permute(3, 2, 0, 1).contiguous().requires_grad_()
    padded = torch.nn.functional.pad(tx, (geo.left, geo.right, geo.top, geo.bottom))
    y = torch.nn.functional.conv2d(padded, tw, None, (geo.sy, geo.sx), 0, (geo.dy, geo.dx), geo.groups)
    dx, dw = torch.autograd.grad(y, (tx, tw), torch.from_numpy(g).permute(0, 3, 1, 2).contiguous())
    wanted = y.detach().permute(0, 2, 3, 1), dx.permute(0, 2, 3, 1), dw.permute(2, 3, 1, 0)
    for call, want in zip(calls(geo, x, w, g), wanted):
        assert_close(by_cython(COMPILED[0], "conv2d", *call, geo, "double"), want.numpy(), 1e-11)
