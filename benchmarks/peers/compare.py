"""Whether two sides computed the same, before either is timed."""
from __future__ import annotations

import numpy as np

from .work import WrongResultError


def distance(got: np.ndarray, expected: np.ndarray) -> float:
    """|got − expected| / |expected|, Euclidean; infinite where something is not finite."""
    difference = np.linalg.norm((np.asarray(got, np.float64) - expected).ravel())
    ratio = difference / max(np.linalg.norm(np.asarray(expected, np.float64).ravel()), 1e-30)
    return float(ratio) if np.isfinite(ratio) else float("inf")


def same(what: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """WrongResultError unless the shapes are equal and the distance is at most `tolerance`."""
    if np.shape(got) != np.shape(expected):
        raise WrongResultError(f"{what}: shape {np.shape(got)}, expected {np.shape(expected)}")
    if not (far := distance(got, expected)) <= tolerance:
        raise WrongResultError(f"{what}: off by {far:.1e} of its norm, at most {tolerance:.0e} is rounding; it is not timed")
