"""Colours against torchvision's functions and hand numbers; the data set's main colours against exact fractions."""
from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tinygradconv.data.augment import ColorJitter, Lighting
from tinygradconv.data.augment.color import covariance, recolored

from .augment_checks import evenly


def torchvisions():
    """torchvision/transforms/_functional_tensor.py, which needs torch alone; the package around it may not load."""
    pytest.importorskip("torch")
    found = importlib.util.find_spec("torchvision")
    if found is None:
        pytest.skip("needs torchvision's functions: pip install --no-deps torchvision==0.28.0")
    file = Path(found.origin).parent / "transforms" / "_functional_tensor.py"
    spec = importlib.util.spec_from_file_location("torchvision_functions", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_torchvisions(rng, channels):
    functions = torchvisions()
    import torch
    images = rng.integers(0, 256, (20, 7, 5, channels)).astype(np.uint8)
    factors = rng.uniform(0, 2, (3, 20))
    got = recolored(images, *factors)
    for image, y, (brightness, contrast, saturation) in zip(images, got, factors.T):
        x = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)
        x = functions.adjust_contrast(functions.adjust_brightness(x, brightness), contrast)
        x = functions.adjust_saturation(x, saturation)
        np.testing.assert_allclose(y, 255 * x.numpy().transpose(1, 2, 0), atol=2e-3)


def test_factors_are_spread_evenly_around_one():
    images = np.full((4000, 1, 1, 3), 100, np.uint8)
    assert evenly(ColorJitter(brightness=0.4)(images, key=2, step=0)[:, 0, 0, 0] / 100, 0.6, 1.4)
    assert evenly(ColorJitter(brightness=2.0)(images // 2, key=2, step=0)[:, 0, 0, 0] / 50, 0, 3)            # not below 0
    red = np.zeros((4000, 1, 2, 3), np.uint8) + np.array([150, 75, 75], np.uint8)
    y = ColorJitter(saturation=0.5)(red, key=2, step=0)[:, 0, 0]
    assert evenly((y[:, 0] - y[:, 1]) / 75, 0.5, 1.5)
    checks = np.zeros((4000, 2, 2, 1), np.uint8) + np.array([[[100], [140]], [[140], [100]]], np.uint8)
    y = ColorJitter(contrast=0.5)(checks, key=2, step=0)
    assert evenly((y[:, 0, 1, 0] - y[:, 0, 0, 0]) / 40, 0.5, 1.5)
    np.testing.assert_allclose(y.mean((1, 2, 3)), 120, rtol=1e-6)
    np.testing.assert_array_equal(ColorJitter()(red[:5], key=0, step=0), red[:5])


def test_the_three_factors_do_not_go_together():
    image = np.zeros((3000, 1, 2, 3), np.uint8) + np.array([[[60, 30, 30]], [[60, 90, 30]]], np.uint8).reshape(1, 2, 3)
    y = ColorJitter(0.2, 0.2, 0.2)(image, key=6, step=0)[:, 0].astype(np.float64)
    grey = y[:, 0] @ [0.2989, 0.587, 0.114], y[:, 1] @ [0.2989, 0.587, 0.114]
    brightness = (grey[0] + grey[1]) / 2
    contrast = (grey[1] - grey[0]) / brightness
    saturation = (y[:, 0, 0] - y[:, 0, 1]) / (grey[1] - grey[0])
    assert np.abs(np.corrcoef([brightness, contrast, saturation]) - np.eye(3)).max() < 0.1


def test_the_covariance_is_the_exact_one(rng):
    images = rng.integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    pixels = [[Fraction(int(v), 255) for v in pixel] for pixel in images.reshape(-1, 3)]
    mean = [sum(p[c] for p in pixels) / len(pixels) for c in range(3)]
    exact = [[float(sum((p[a] - mean[a]) * (p[b] - mean[b]) for p in pixels) / len(pixels)) for b in range(3)] for a in range(3)]
    np.testing.assert_allclose(covariance(images), exact, rtol=3e-16)


def test_many_pixels_are_summed_in_chunks(rng, monkeypatch):
    images = rng.integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    whole = covariance(images)
    monkeypatch.setattr("tinygradconv.data.augment.color.CHUNK", 7)
    assert covariance(images).tobytes() == whole.tobytes()


def test_directions_of_known_colours():
    greys = np.zeros((1, 1, 2, 3), np.uint8)
    greys[0, 0, 1] = 255                                            # black and white: all variance, ¼ a channel, lies along (1, 1, 1)
    lighting = Lighting.of(greys)
    np.testing.assert_allclose(lighting.values, [0.75, 0, 0], atol=1e-15)
    np.testing.assert_allclose(np.array(lighting.vectors)[:, 0], np.full(3, 3 ** -0.5), rtol=1e-12)
    y = lighting(greys.repeat(4000, 0), key=3, step=0)
    amounts = y - greys
    assert y.dtype == np.float32 and np.ptp(amounts, axis=(2, 3)).max() < 1e-3         # every pixel and channel by the same
    alpha = amounts[:, 0, 0, 0] / (255 * 0.75 * 3 ** -0.5)
    assert abs(alpha.mean()) < 4 * 0.1 / np.sqrt(4000) and abs(alpha.std() - 0.1) < 4 * 0.1 / np.sqrt(8000)
    assert (Lighting.of(greys, deviation=0)(greys, key=3, step=0) == greys).all()


def test_every_direction_has_its_own_amount(rng):
    images = (rng.normal(size=(50, 8, 8, 3)) @ rng.normal(size=(3, 3)) * 20 + 128).clip(0, 255).astype(np.uint8)
    lighting = Lighting.of(images)
    values, vectors = np.linalg.eigh(np.cov(images.reshape(-1, 3).T / 255, bias=True))
    np.testing.assert_allclose(lighting.values, values[::-1], rtol=1e-9)
    np.testing.assert_allclose(np.abs(lighting.vectors), np.abs(vectors[:, ::-1]), rtol=1e-6, atol=1e-9)
    flat = np.zeros((3000, 1, 1, 3), np.uint8)
    alpha = lighting(flat, key=1, step=1)[:, 0, 0].astype(np.float64) @ vectors[:, ::-1] / (255 * np.array(lighting.values))
    np.testing.assert_allclose(np.cov(alpha.T), np.eye(3) * 0.01, atol=0.0015)
