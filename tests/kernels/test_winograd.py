"""winograd_forward, winograd_grad_input, winograd_grad_weight: the reference against direct convolution, Cython against the reference."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.conv import reference as direct
from tinygradconv.kernels.winograd import reference

from tinygradconv.geometry import Conv2dGeometry

from .convolutions import by_cython, by_definition, calls
from .test_conv import arrays, epilogues
from .variants import TYPES, assert_close, poisoned, random, variants, workspace

COMPILED = variants("winograd")
SIZES = (1, 2, 7, 8, 9, 16, 17, 33)
TOLERANCE = {"float": 1e-4, "double": 1e-11}


@st.composite
def geometries(draw, channels=SIZES, images=(0, 1, 2, 5, 9), side=19):
    """3×3 filters at stride 1: images no multiple of 4, padding wider than the filter, channels on both sides of a vector."""
    padding = tuple((draw(st.integers(0, 6)), draw(st.integers(0, 6))) for _ in range(2))
    H, W = (draw(st.integers(max(1, 3 - sum(pad)), side)) for pad in padding)
    shape = (draw(st.sampled_from(images)), H, W, draw(st.sampled_from(channels)))
    return Conv2dGeometry.of("test", shape, 3, stride=1, padding=padding, O=draw(st.sampled_from(channels)))


@given(geometries(channels=(1, 2, 3), images=(0, 1, 2), side=9))
def test_reference_is_the_direct_convolution(geo):
    for call in calls(geo, *arrays(geo, np.float64)):
        assert_close(by_definition(reference, "winograd", *call, geo), by_definition(direct, "conv2d", *call, geo), 1e-12)


def test_the_matrices_convolve_in_one_dimension():
    d, w = random(1, (6,), np.float64), random(2, (3,), np.float64)
    want = [sum(d[i + k] * w[k] for k in range(3)) for i in range(4)]
    np.testing.assert_allclose(reference.A.T @ ((reference.G @ w) * (reference.B.T @ d)), want, atol=1e-13)


def test_the_matrices_are_those_of_their_points():
    points = [0, reference.P, -reference.P, reference.Q, -reference.Q]
    for i, point in enumerate(points):
        others = [p for p in points if p != point]
        np.testing.assert_allclose(reference.A[i], [point ** k for k in range(4)], atol=1e-15)
        np.testing.assert_allclose(reference.G[i], [point ** k / np.prod([point - p for p in others]) for k in range(3)], atol=1e-15)
        np.testing.assert_allclose(reference.B[:5, i], np.poly(others)[::-1], atol=1e-15)
    np.testing.assert_allclose(reference.B[:, 5], np.poly(points)[::-1], atol=1e-15)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=geometries())
def test_cython_is_the_reference_and_fills_everything(module, kind, geo):
    for call in calls(geo, *arrays(geo, TYPES[kind])):
        assert_close(by_cython(module, "winograd", *call, geo, kind), by_definition(reference, "winograd", *call, geo), TOLERANCE[kind])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=geometries(images=(1, 2), side=9), data=st.data())
def test_what_follows_is_applied_to_every_place_once(module, kind, geo, data):
    after = data.draw(epilogues(geo, TYPES[kind]))
    x, w, _ = arrays(geo, TYPES[kind])
    want = by_definition(reference, "winograd", "forward", (x, w), geo.y_shape, geo, after)
    assert_close(by_cython(module, "winograd", "forward", (x, w), geo.y_shape, geo, kind, after=after), want, TOLERANCE[kind])


# Several blocks of tiles, groups of columns, chains, rounds and lanes; many channels and few tiles.
LARGE = {
    "blocks of tiles": dict(x_shape=(2, 41, 43, 20), O=24),
    "column groups": dict(x_shape=(3, 13, 14, 40), O=150),
    "long chains": dict(x_shape=(2, 6, 7, 300), O=70),
    "channels that are powers of two": dict(x_shape=(2, 9, 9, 128), O=128),
    "few tiles, many channels": dict(x_shape=(2, 7, 7, 264), O=272),
    "rounds of tiles": dict(x_shape=(2, 39, 41, 300), O=200),
    "filters transformed on the way, and all tiles in a task": dict(x_shape=(1, 30, 39, 260), O=257),
    "many tiles, few channels": dict(x_shape=(40, 33, 30, 5), O=3),
}


def large(name):
    return Conv2dGeometry.of("test", kernel_size=3, stride=1, padding=1, **LARGE[name])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("shape_name", LARGE)
def test_cython_is_the_direct_convolution_where_work_is_divided(shape_name, module, kind):
    geo = large(shape_name)
    for call in calls(geo, *arrays(geo, TYPES[kind])):
        assert_close(by_cython(module, "winograd", *call, geo, kind), by_definition(direct, "conv2d", *call, geo), TOLERANCE[kind])


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("shape_name", LARGE)
def test_the_bits_do_not_depend_on_the_threads(shape_name, module):
    geo = large(shape_name)
    for call in calls(geo, *arrays(geo, np.float32)):
        one, two, three = (by_cython(module, "winograd", *call, geo, "float", threads).tobytes() for threads in (1, 2, 3))
        assert one == two == three, call[0]


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("channels, most", [(64, 1.1e-6), (512, 2e-6)])
def test_the_error_is_what_the_docs_say(module, channels, most):
    geo = Conv2dGeometry.of("test", (1, 12, 12, channels), 3, stride=1, O=64)
    x, w, _ = arrays(geo, np.float32)
    w /= np.float32(np.sqrt(9 * channels))
    want = by_definition(direct, "conv2d", "forward", (x.astype(np.float64), w.astype(np.float64)), geo.y_shape, geo)
    error = by_cython(module, "winograd", "forward", (x, w), geo.y_shape, geo, "float") - want
    assert np.sqrt(np.mean(error ** 2)) < most * np.sqrt(np.mean(want ** 2))


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_a_small_workspace_is_refused_by_name(module):
    geo = Conv2dGeometry.of("test", (1, 5, 5, 2), 3, padding=1, stride=1, O=3)
    x, w, g = arrays(geo, np.float32)
    room = workspace(module.winograd_forward_packed_bytes(w, geo))
    wants = r"workspace must have at least \d+ bytes, got 3\. Size it with winograd_\w+_workspace"
    for name, inputs, shape in calls(geo, x, w, g):
        inputs, activation = ((x, room, None, None, None), (0,)) if name == "forward" else (inputs, ())
        with pytest.raises(ValueError, match=f"winograd_{name}: {wants}"):
            getattr(module, f"winograd_{name}")["float"](*inputs, workspace(3), poisoned(shape, np.float32), *activation, geo)
    with pytest.raises(ValueError, match=r"winograd_forward_pack: packed must have at least \d+ bytes, got 3"):
        module.winograd_forward_pack["float"](w, workspace(3), geo)


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_another_convolution_is_refused(module):
    geo = Conv2dGeometry.of("test", (1, 9, 9, 2), 3, stride=2, O=3)
    x, _, g = arrays(geo, np.float32)
    with pytest.raises(ValueError, match=r"expected a 3×3 filter, stride 1.* got 3×3, stride \(2, 2\).* Use conv2d_grad_weight"):
        module.winograd_grad_weight["float"](x, g, workspace(1 << 20), poisoned(geo.w_shape, np.float32), geo)
