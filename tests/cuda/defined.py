"""A GPU for tests of whole steps: the stub of the driver, with kernels that are their NumPy definitions."""
from __future__ import annotations

import gc

import pytest

from tinygradconv import backends
from tinygradconv.backends.cuda.graph import sweep

from .emulated import DefinedBackend


@pytest.fixture
def gpu(monkeypatch):
    """A back end for "cuda" that computes here, when it is waited for."""
    made = DefinedBackend()
    monkeypatch.setitem(backends._made, "cuda", made)
    yield made
    gc.collect()
    sweep()


def calls(gpu, name):
    """How often the driver was called by this name."""
    return sum(call[0] == name for call in gpu.driver.calls)
