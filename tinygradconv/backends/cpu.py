"""The CPU back end: Cython kernels for the best instruction set that runs here, on NumPy arrays from a pool.

A kernel without a Cython form, or called with a dtype that the Cython form does not take (integers, say), runs as its
NumPy definition; so does every kernel under TGC_BACKEND=reference.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tinygradconv.kernels import KERNELS
from tinygradconv.settings import get as setting

from .reference import reference_kernel, reference_workspace

SPECIALISATION = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
POOLED_FROM = 1 << 16         # bytes; smaller arrays are quicker from malloc than from the pool


@cache
def instruction_set() -> str:
    """The kernel variant in use, from TGC_ISA or the best that runs here: 'v2', 'v3', 'v4' or 'base'."""
    from tinygradconv._compiled import isa
    runnable, wanted = isa.variants(), setting("isa")
    if wanted and wanted not in runnable:
        raise ImportError(f"TGC_ISA={wanted!r}: this processor runs {', '.join(map(repr, runnable))}")
    return wanted or runnable[0]


@cache
def _compiled(folder: str) -> Any:
    try:
        return importlib.import_module(f"tinygradconv._compiled.{folder}_{instruction_set()}")
    except ModuleNotFoundError as problem:
        raise ImportError(f"the compiled kernels have no {problem.name}: they are older than this checkout. "
                          f"From the repository's root run: pip install .") from None


@cache
def _function(name: str, dtype: np.dtype) -> tuple[Callable[..., None], Callable[..., int] | None, Any]:
    """(kernel, its workspace function, its module) for arrays of `dtype`; module None marks the NumPy definition."""
    row = KERNELS[name]
    has_workspace = "workspace" in row.arguments
    if row.cpu:
        module = _compiled(row.folder)
        function = getattr(module, name)
        if not hasattr(function, "__signatures__"):
            return function, getattr(module, name + "_workspace") if has_workspace else None, module
        if dtype in SPECIALISATION:
            return function[SPECIALISATION[dtype]], getattr(module, name + "_workspace") if has_workspace else None, module
    return _reference(name)


def _reference(name: str) -> tuple[Callable[..., None], Callable[..., int] | None, None]:
    return reference_kernel(name), reference_workspace(name) if "workspace" in KERNELS[name].arguments else None, None


class CPUBackend:
    """NumPy arrays, Cython kernels."""

    name = "cpu"

    def __init__(self) -> None:
        self._threads: dict[Any, int] = {}

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array to be filled: from the pool where it is large, so that a training step meets no fresh pages."""
        return np.empty(shape, dtype)

    def run(self, kernel: str, *arguments: Any) -> None:
        """Run one kernel; inputs that are not C-contiguous are copied first unless the kernel takes strided arrays."""
        row = KERNELS[kernel]
        if setting("backend") == "reference":
            function, workspace, module = _reference(kernel)
        else:
            function, workspace, module = _function(kernel, arguments[0].dtype)
        if not row.strided:
            arguments = [a if not isinstance(a, np.ndarray) or a.flags.c_contiguous else np.ascontiguousarray(a) for a in arguments]
        if workspace is not None:
            at = row.arguments.index("workspace")
            size = workspace(arguments[-1], arguments[0].itemsize)
            arguments = [*arguments[:at], self.empty((size,), np.uint8), *arguments[at:]]
        threads = setting("threads")
        if module is not None and self._threads.get(module) != threads:
            module.set_threads(threads)
            self._threads[module] = threads
        function(*arguments)

    def asarray(self, values: np.ndarray) -> np.ndarray:
        """NumPy arrays are the CPU's arrays."""
        return values

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        """NumPy arrays are the CPU's arrays."""
        return array

    def synchronize(self) -> None:
        """CPU kernels return when they are done."""


CPU = CPUBackend()
