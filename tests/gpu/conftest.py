"""Tests that need a GPU are skipped where there is none, with the reason; finding that out imports neither Numba nor a package of CUDA."""
from __future__ import annotations

from functools import cache

import pytest


@cache
def reason() -> str:
    """Why nothing can be computed on a GPU here; empty where it can."""
    from tinygradconv.backends.cuda.toolchain import obstacles
    return "; ".join(obstacles())


def pytest_collection_modifyitems(items):
    """Skip what is marked, where there is no GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and reason():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"needs a GPU: {reason()}"))


@pytest.fixture
def synchronized():
    """Whatever a kernel did wrong shows in the test that started it."""
    yield
    from tinygradconv.backends import backend_named
    backend_named("cuda").synchronize()
