"""Every op on the CUDA back end, its kernels their NumPy definitions: value, first and second derivative are the CPU's.

The cases are those that a GPU is given (tests/gpu/cases.py); what is looked for here is what ops and engine do with arrays that NumPy
cannot read, before there is a GPU.
"""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tests.gpu.cases import CASES
from tests.gpu.derived import derived, error


@pytest.mark.parametrize("name", CASES)
def test_an_op_gives_there_what_it_gives_here(gpu, name):
    with tgc.settings(backend="reference"):
        expected = derived(CASES[name], "cpu", np.float32)
    for ours, theirs in zip(derived(CASES[name], "cuda", np.float32), expected, strict=True):
        assert error(ours, theirs) <= 1e-6
