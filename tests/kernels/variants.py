"""The compiled variants of a kernel module that run on this processor, and poisoned buffers to hand to kernels."""
from __future__ import annotations

import importlib

import numpy as np
from tinygradconv._compiled import isa

import tinygradconv

TYPES = {"float": np.float32, "double": np.float64}
TOLERANCE = {"float": 2e-5, "double": 1e-12}


def variants(idea: str) -> list:
    """tinygradconv._compiled.<idea>_<variant> for every variant that runs here."""
    assert tinygradconv.__name__ == "tinygradconv"
    return [importlib.import_module(f"tinygradconv._compiled.{idea}_{variant}") for variant in isa.variants()]


def poisoned(shape: tuple[int, ...], dtype) -> np.ndarray:
    """An array of NaN: what a kernel forgets to fill shows."""
    return np.full(shape, np.nan, dtype)


def workspace(size: int) -> np.ndarray:
    """`size` bytes of 0xFF (NaN in either element type) that begin on a cache line."""
    room = np.full(size + 64, 0xFF, np.uint8)
    start = -room.ctypes.data % 64
    return room[start:start + size]


def random(seed: int, shape: tuple[int, ...], dtype) -> np.ndarray:
    """Standard normal values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_close(got: np.ndarray, want: np.ndarray, tolerance: float) -> None:
    """Equal within `tolerance` of the largest magnitude wanted (and of 1), NaN nowhere."""
    assert got.shape == want.shape
    scale = max(1.0, np.abs(want).max(initial=0))
    np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=tolerance)
