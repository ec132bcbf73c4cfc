"""How a test calls the three convolutions of CUDA kernels, emulated, and what they are held to."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.conv import correlate, layout, reference
from tinygradconv.kernels.conv import cuda as kernels
from tinygradconv.kernels.cuda.core_tiles import CoreShape

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)
from tinygradconv.geometry import Conv2dGeometry

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice

DEVICE = EmulatedDevice()
NAMES = ("forward", "grad_input", "grad_weight")
PLAIN = (None, None, None, 0)              # scale, bias, residual and activation of a forward pass that ends with the sum
TEMPLATES = ("forward_tiles", "grad_input_tiles", "grad_weight_tiles")
SMALL = CoreShape(16, 16, 4, 4, 1)         # the emulator takes its time: tests that are not about a shape run in the smallest
SMALLEST = {key: ((SMALL, 1.0),) for key in (("float32", 1), ("float32", 4), ("float64", 1))}


@pytest.fixture(autouse=True)
def fresh():
    """What is planned for other tiles, in another test, is forgotten."""
    for laid_out in (layout.forward, layout.grad_input, layout.grad_weight):
        laid_out.cache_clear()


@pytest.fixture
def small(monkeypatch):
    """Everything runs in the smallest tiles."""
    monkeypatch.setattr(layout, "SHAPES", SMALLEST)


def geometry(x_shape, kernel_size, O, stride=1, groups=1, **more):
    """A convolution."""
    return Conv2dGeometry.of("test", x_shape, kernel_size, stride=stride, O=O, groups=groups, **more)


def check(geo, dtype=np.float32, which=NAMES, device=DEVICE, after=PLAIN, rounded=lambda x: x):
    """Each kernel against its definition in float64: an error of as many roundings as a sum is long, of the sum of |x| |w|."""
    rng = np.random.default_rng(geo.kh + geo.C)
    x, w, g = (rng.standard_normal(shape).astype(dtype) for shape in (geo.x_shape, geo.w_shape, geo.y_shape))
    calls = {"forward": ((x, w), geo.y_shape, geo.kh * geo.kw * geo.C), "grad_input": ((g, w), geo.x_shape, geo.kh * geo.kw * geo.O),
             "grad_weight": ((x, g), geo.w_shape, geo.N * geo.OH * geo.OW)}
    for name in which:
        inputs, shape, terms = calls[name]
        more, activation, plain, nothing = (after[:3], after[3:], PLAIN[:3], PLAIN[3:]) if name == "forward" else ((), (), (), ())
        y, exact, most = device.empty(shape, dtype), np.empty(shape), np.empty(shape)
        getattr(kernels, f"conv2d_{name}")(device, *inputs, *more, None, y, *activation, geo)
        define = getattr(reference, f"conv2d_{name}")
        define(*(rounded(a).astype(np.float64) for a in inputs), *more, None, exact, *activation, geo)
        define(*(np.abs(a).astype(np.float64) for a in inputs), *plain, None, most, *nothing, geo)
        slack = 0 if after is PLAIN else 10
        assert (np.abs(y - exact) <= np.finfo(dtype).eps * ((terms + 1) * most + slack)).all(), name


def launched(monkeypatch):
    """(name, constants) of every template that is launched from now on."""
    seen = []

    def spy(name, template):
        monkeypatch.setattr(kernels, name, lambda *constants: seen.append((name, *constants)) or template(*constants))
    for name in TEMPLATES:
        spy(name, getattr(correlate, name))
    return seen
