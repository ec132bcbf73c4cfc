"""In what tiles and parts the convolutions of CUDA kernels are made, in each precision; emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.conv import correlate, finish, layout
from tinygradconv.kernels.conv import cuda as kernels
from tinygradconv.kernels.cuda import engines
from tinygradconv.kernels.cuda.core_tiles import CoreShape
from tinygradconv.kernels.cuda.tiles import Shape

from .convolutions import EmulatedDevice, check, fresh, geometry, launched, small

__all__ = ["fresh", "small"]               # fixtures


@pytest.mark.parametrize("mode, vector, shape", [(*key, shape) for key, shapes in layout.SHAPES.items() for shape, _ in shapes
                                                 if key[0].startswith("float")])
def test_every_tile(mode, vector, shape, monkeypatch):
    monkeypatch.setattr(layout, "SHAPES", {(mode, vector): ((shape, 1.0),)})
    check(geometry((1, 3, 23, 4), 1, 4) if vector > 1 else geometry((1, 3, 23, 3), 1, 5), np.dtype(mode), ("forward",))


def test_every_configuration_can_be_made():
    for template, constants in kernels.configurations():
        assert template(*constants).threads >= 64


@pytest.fixture
def in_parts(small, monkeypatch):
    """k is cut after every 16."""
    monkeypatch.setattr(engines, "PART", 8)
    monkeypatch.setattr(engines, "UNIT", 16)


@pytest.mark.parametrize("geo", [geometry((1, 4, 5, 4), 3, 4, padding=1), geometry((2, 5, 8, 3), 3, 5, stride=2, padding=1),
                                 geometry((2, 4, 4, 10), 2, 8, groups=2)])
def test_a_long_k_is_cut_and_its_parts_added(geo, in_parts, monkeypatch):
    parts = []
    monkeypatch.setattr(kernels, "added", lambda *arguments: parts.append(arguments[3]) or finish.added(*arguments))
    check(geo)
    assert len(parts) >= 2 and min(parts) > 1


def test_what_follows_the_sum_follows_once_where_k_is_cut(in_parts):
    geo, rng = geometry((1, 3, 3, 5), 3, 3, padding=1), np.random.default_rng(2)
    check(geo, which=("forward",), after=(*(rng.standard_normal(shape).astype(np.float32) for shape in ((3,), (3,), geo.y_shape)), 1))


def test_the_pixels_of_few_channels_are_cut_and_their_parts_added(monkeypatch):
    monkeypatch.setattr(kernels.few, "LEAST", 5)
    check(geometry((2, 5, 5, 3), 3, 3, groups=3, padding=1), which=("grad_weight",))


def test_the_plan_is_made_of_sizes():
    plan = layout.planned
    assert plan("float32", 4, 1, 128 * 28 * 28, 128, 1152) == (CoreShape(128, 128, 8, 8, 1), 1, 1152)
    assert plan("float32", 4, 1, 128 * 32 * 32, 16, 144).shape.columns == 16
    assert plan("float32", 4, 1, 512 * 32 * 32, 64, 576).shape[:2] == (128, 64)
    shape, parts, part = plan("float32", 4, 1, 144, 16, 128 * 32 * 32)           # a gradient of few weights: pixels are cut
    assert shape.columns == 16 and parts > 100 and part % engines.UNIT == 0 and (parts - 1) * part < 128 * 32 * 32 <= parts * part
    for K in (0, 1, 63, 64, 65, 511, 512, 4095):
        _, parts, part = plan("float32", 1, 1, 3, 3, K)
        assert parts >= 1 and part % engines.UNIT == 0 and max(K - 1, 0) // part == parts - 1


ROUNDED = {"tf32": (13, np.uint32(0x1000)), "bf16": (16, np.uint32(0x8000))}


def rounding(precision):
    """The nearest number of that precision; ties, which random numbers hardly have, up."""
    bits, half = ROUNDED[precision]
    return lambda x: ((x.view(np.uint32) + half) >> bits << bits).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("precision, geo", [("tf32", geometry((1, 5, 6, 4), 3, 8, padding=1)), ("bf16", geometry((1, 5, 4, 8), 3, 4, 2)),
                                            ("bf16", geometry((1, 3, 4, 16), 2, 8, groups=2))])
def test_tensor_cores_multiply_what_is_rounded(precision, geo, monkeypatch):
    monkeypatch.setattr(layout, "SHAPES", {(precision, 4): ((Shape(32, 32, 32, 32), 1.0),)})          # one warp
    seen = launched(monkeypatch)
    check(geo, device=EmulatedDevice(precision), rounded=rounding(precision))
    assert [constants[1] for constants in seen] == [precision] * 3


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_every_tile_of_tensor_cores(precision):
    for shape, _ in layout.SHAPES[precision, 4][1:]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "SHAPES", {(precision, 4): ((shape, 1.0),)})
            check(geometry((1, 3, 23, 4), 1, 4), which=("forward",), device=EmulatedDevice(precision), rounded=rounding(precision))


def test_odd_channels_are_multiplied_exactly_whatever_the_precision(small, monkeypatch):
    seen = launched(monkeypatch)
    check(geometry((1, 3, 3, 3), 2, 4), device=EmulatedDevice("bf16"))
    assert {constants[1] for constants in seen} == {"float32"}


def test_float64_stays_exact_whatever_the_precision(small):
    check(geometry((1, 3, 3, 4), 2, 4), np.float64, device=EmulatedDevice("bf16"))


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made) and (finish.add_parts, (engines.type_of("float64"),)) in made
    assert {constants[0] for template, constants in made if template is correlate.forward_tiles} == {"float32", "float64", "tf32", "bf16"}
