"""CUDA kernels of warp/, emulated: the reference back end's values, to the bit where nothing is fused."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.warp import cuda as kernels
from tinygradconv.kernels.warp import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress

from .mutants import mutant

DEVICE = EmulatedDevice()
UNIT = np.array([[1.0, 0, 0], [0, 1, 0]])


def warped(made, *arguments, size, dtype, fill):
    x = arguments[0]
    y = DEVICE.empty((len(x), *size, x.shape[3]), dtype)
    more = (DEVICE,) if made is not reference else ()
    made.warp(*more, *arguments, y, fill)
    return y


@settings(max_examples=16, deadline=None)
@given(N=st.integers(0, 2), size=st.sampled_from([(1, 1), (5, 4), (17, 16)]), C=st.sampled_from([1, 3]), boxed=st.booleans(),
       normal=st.booleans(), source=st.sampled_from([np.uint8, np.float32]), target=st.sampled_from([np.uint8, np.float32]),
       seed=st.integers(0, 99), fill=st.sampled_from([0.0, 17.0]))
def test_warp(N, size, C, boxed, normal, source, target, seed, fill):
    rng = np.random.default_rng(seed)
    x, maps = rng.integers(0, 256, (N, 6, 7, C)).astype(source), UNIT + rng.normal(0, 0.5, (N, 2, 3)) * [1, 1, 4]
    boxes = np.sort(rng.uniform(-3, 10, (N, 2, 2)), axis=1).reshape(N, 4) if boxed else None
    numbers = rng.uniform(10, 90, (2, C)).astype(np.float32) if normal and target == np.float32 else (None, None)
    got, expected = (warped(made, x, maps, boxes, *numbers, size=size, dtype=target, fill=fill) for made in (kernels, reference))
    assert (got == expected).all()


@pytest.mark.parametrize("amount", [1e6, 1e308, np.inf, np.nan])
def test_however_far_a_place_is_only_the_image_is_read(amount):
    x = np.random.default_rng(0).integers(0, 256, (1, 5, 6, 2)).astype(np.uint8)
    for axis, entry in np.ndindex(2, 3):
        maps = UNIT[None].copy()
        maps[0, axis, entry] = amount
        got = warped(kernels, x, maps, None, None, None, size=(3, 4), dtype=np.float32, fill=9.0)
        assert ((got >= 0) & (got <= 255)).all()


@pytest.mark.parametrize("N", [0, 3, 300])
def test_distortions(N):
    bits = np.random.default_rng(N).integers(0, 2 ** 32, (6, N), dtype=np.uint32)
    got, expected = (np.full((N, 2, 3), np.nan) for _ in range(2))
    kernels.distortions(DEVICE, bits, got, 28, 31, 0.3, 0.2, 0.1, 2.0)
    reference.distortions(bits, expected, 28, 31, 0.3, 0.2, 0.1, 2.0)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("old, new", [("if n < N:", "if n <= N:"), ("even(bits, 4 * N + n)", "even(bits, 5 * N + n)"),
                                      ("cosine - sine * slant", "cosine + sine * slant")])
def test_mutants_of_distortions_are_found(old, new):
    bits = np.random.default_rng(0).integers(0, 2 ** 32, (6, 3), dtype=np.uint32)
    got, expected = (np.full((3, 2, 3), np.nan) for _ in range(2))
    reference.distortions(bits, expected, 28, 31, 0.3, 0.2, 0.1, 2.0)
    with pytest.raises((InvalidAddress, AssertionError)):
        mutant(kernels, old, new).distortions(DEVICE, bits, got, 28, 31, 0.3, 0.2, 0.1, 2.0)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("old, new, fault", [
    ("1 <= row <= H and", "1 <= row <= H + 1 and", (InvalidAddress, AssertionError)),
    ("if at < h * w:", "if at <= h * w:", (InvalidAddress, AssertionError)),
    ("return place if place < high else high", "return place", AssertionError),
    ("(a + (b - a) * across) - upper) * down", "(a + (b - a) * down) - upper) * down", AssertionError)])
def test_mutants_are_found(old, new, fault):
    x = np.random.default_rng(0).integers(0, 256, (1, 5, 6, 1)).astype(np.float32)
    maps = np.stack([UNIT + [[0.1, 0.2, 0.3], [0.3, -0.2, 0.1]]])
    made = mutant(kernels, old, new)
    with pytest.raises(fault):
        for each in (maps, np.full((1, 2, 3), np.nan)):
            got, expected = (warped(one, x, each, None, None, None, size=(7, 8), dtype=np.float32, fill=3.0) for one in (made, reference))
            assert (got == expected).all()
