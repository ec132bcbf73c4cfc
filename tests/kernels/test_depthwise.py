"""depthwise_forward, depthwise_grad_input, depthwise_grad_weight: reference against conv2d's, Cython against the reference."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels import ACTIVATIONS
from tinygradconv.kernels.conv import reference as general
from tinygradconv.kernels.depthwise import reference

from tinygradconv.geometry import Conv2dGeometry

from .convolutions import by_cython, by_definition, calls
from .variants import TOLERANCE, TYPES, assert_close, poisoned, random, variants, workspace

COMPILED = variants("depthwise")


@st.composite
def geometries(draw, channels=(1, 3, 4, 7, 8, 9, 16, 17, 24, 33), images=(0, 1, 2, 5), multiples=(1,), side=21):
    """Any depthwise convolution: channels on both sides of one and two vectors, stride, dilation, padding wider than the filter."""
    kernel, stride, dilation = ((draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (7, 3, 3))
    padding = tuple((draw(st.integers(0, 6)), draw(st.integers(0, 6))) for _ in range(2))
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])) for i in range(2)]
    H, W = (draw(st.integers(n, max(n, side))) for n in least)
    C = draw(st.sampled_from(channels))
    return Conv2dGeometry.of("test", (draw(st.sampled_from(images)), H, W, C), kernel, stride=stride, padding=padding, dilation=dilation,
                             O=C * draw(st.sampled_from(multiples)), groups=C)


def seeded_calls(geo, dtype):
    """The three kernels' calls on random arrays."""
    return calls(geo, random(1, geo.x_shape, dtype), random(2, geo.w_shape, dtype), random(3, geo.y_shape, dtype))


@given(geometries(channels=(1, 2, 5), multiples=(1, 2, 3), side=9))
def test_reference_is_the_general_convolution(geo):
    for which, inputs, shape in seeded_calls(geo, np.float64):
        want = by_definition(general, "conv2d", which, inputs, shape, geo)
        assert_close(by_definition(reference, "depthwise", which, inputs, shape, geo), want, 1e-12)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=geometries())
def test_cython_is_the_reference_and_fills_everything(module, kind, geo):
    for which, inputs, shape in seeded_calls(geo, TYPES[kind]):
        want = by_definition(reference, "depthwise", which, inputs, shape, geo)
        assert_close(by_cython(module, "depthwise", which, inputs, shape, geo, kind), want, TOLERANCE[kind])


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=geometries(), given=st.tuples(*[st.booleans()] * 3), activation=st.sampled_from(sorted(ACTIVATIONS.values())))
def test_what_follows_the_sum_is_the_references(module, geo, given, activation):
    shapes = ((geo.O,), (geo.O,), geo.y_shape)
    after = (*(random(4 + i, shape, np.float32) if there else None for i, (there, shape) in enumerate(zip(given, shapes))), activation)
    which, inputs, shape = next(iter(seeded_calls(geo, np.float32)))
    want = by_definition(reference, "depthwise", which, inputs, shape, geo, after)
    assert_close(by_cython(module, "depthwise", which, inputs, shape, geo, "float", after=after), want, TOLERANCE["float"])


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_bits_do_not_depend_on_the_threads(module, stride):
    geo = Conv2dGeometry.of("test", (5, 23, 22, 40), 3, stride=stride, padding=1, O=40, groups=40)
    for which, inputs, shape in seeded_calls(geo, np.float32):
        one, two, three = (by_cython(module, "depthwise", which, inputs, shape, geo, "float", threads).tobytes() for threads in (1, 2, 3))
        assert one == two == three, which


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
def test_what_it_does_not_take_is_refused_by_name(module):
    geo = Conv2dGeometry.of("test", (2, 5, 5, 4), 3, stride=1, padding=1, O=8, groups=4)
    for which, inputs, shape in seeded_calls(geo, np.float32):
        with pytest.raises(ValueError, match=rf"depthwise_{which}: takes one filter per channel .* got groups 4, C 4, O 8\. Use conv2d_"):
            by_cython(module, "depthwise", which, inputs, shape, geo, "float")
    geo = Conv2dGeometry.of("test", (2, 5, 5, 8), 3, stride=1, padding=1, O=8, groups=8)
    x, w, g = (random(1, shape, np.float32) for shape in (geo.x_shape, geo.w_shape, geo.y_shape))
    with pytest.raises(ValueError, match=r"depthwise_grad_weight: workspace must have at least \d+ bytes, got 3\."):
        module.depthwise_grad_weight["float"](x, g, workspace(3), poisoned(w.shape, np.float32), geo)
    with pytest.raises(ValueError, match=r"depthwise_forward: packed must have at least 288 bytes, got 3\."):
        module.depthwise_forward["float"](x, workspace(3), None, None, None, workspace(0), g, 0, geo)
    with pytest.raises(ValueError, match=r"depthwise_forward_pack: packed must have at least 288 bytes, got 3\."):
        module.depthwise_forward_pack["float"](w, workspace(3), geo)
