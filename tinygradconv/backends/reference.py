"""The reference back end: every kernel as its NumPy definition (`kernels/<folder>/reference.py`)."""
from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

from tinygradconv.kernels import KERNELS


@cache
def reference_kernel(name: str) -> Callable[..., None]:
    """The NumPy definition of a kernel, imported when first asked for."""
    return getattr(importlib.import_module(f"tinygradconv.kernels.{KERNELS[name].folder}.reference"), name)


@cache
def reference_workspace(name: str) -> Callable[..., int]:
    """How much scratch the NumPy definition of a kernel wants."""
    return getattr(importlib.import_module(f"tinygradconv.kernels.{KERNELS[name].folder}.reference"), name + "_workspace")
