"""Every op on the GPU against the CPU: value, first and second derivative, in each precision; and the same bits every time."""
from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import tinygradconv as tgc

from .cases import CASES
from .derived import derived, errors

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]

WITHIN = {"fp32": 1e-5, "tf32": 1e-3, "bf16": 1e-2}
ROUNDING = [name for name, case in CASES.items() if case.rounds]


@cache
def expected(name: str) -> list[list[np.ndarray]]:
    """What the CPU gives, in float64."""
    return derived(CASES[name], "cpu", np.float64)


def compare(name: str, dtype: object, within: float) -> None:
    """Assert that the GPU's results are within this relative error of the CPU's, and finite though fresh memory is NaN."""
    with tgc.settings(poison=True):
        found = derived(CASES[name], "cuda", dtype)
    found = errors(found, expected(name))
    assert max(found) <= within, f"relative errors {found} of the value, recorded, of gradients, recorded, of second derivatives"


@pytest.mark.parametrize("name", CASES)
def test_float64(name):
    compare(name, np.float64, 1e-10)


@pytest.mark.parametrize("name", CASES)
def test_float32(name):
    with tgc.settings(precision="fp32"):
        compare(name, np.float32, WITHIN["fp32"])


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize("name", ROUNDING)
def test_tensor_cores(name, precision):
    with tgc.settings(precision=precision):
        compare(name, np.float32, WITHIN[precision])


@pytest.mark.parametrize(("name", "precision"), [(name, "fp32") for name in CASES] + [(n, p) for n in ROUNDING for p in ("tf32", "bf16")])
def test_the_same_bits_every_time(name, precision):
    with tgc.settings(precision=precision):
        first, again = (derived(CASES[name], "cuda", np.float32) for _ in range(2))
    assert all((one == other).all() for stages in zip(first, again, strict=True) for one, other in zip(*stages, strict=True))
