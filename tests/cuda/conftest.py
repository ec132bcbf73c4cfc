"""Back ends without a GPU in the place of the machine's: see emulated.py."""
from __future__ import annotations

import pytest

from tinygradconv import backends

from .defined import gpu
from .emulated import EmulatedBackend

__all__ = ["gpu"]                          # a fixture


@pytest.fixture
def emulated(monkeypatch):
    """The back end of "cuda" for one test: its kernels are those of kernels/<idea>/cuda.py, emulated."""
    pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
    made = EmulatedBackend()
    monkeypatch.setitem(backends._made, "cuda", made)
    return made
