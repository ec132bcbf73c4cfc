"""The CPU back end: Cython kernels for the best instruction set that runs here, on NumPy arrays from a pool.

A kernel without a Cython form, or called with a dtype that the Cython form does not take (integers, say), runs as its
NumPy definition; so does every kernel under TGC_BACKEND=reference.
"""
from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygradconv._compiled import memory
from tinygradconv.arrays import dtype_of, is_scattered, shape_of
from tinygradconv.kernels import KERNELS
from tinygradconv.settings import current
from tinygradconv.settings import get as setting

from .choice import ALTERNATIVES, choose, tune
from .reference import reference_kernel, reference_workspace

SPECIALISATION = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
BYTES = np.dtype(np.uint8)


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
        with _short_waits():
            return importlib.import_module(f"tinygradconv._compiled.{folder}_{instruction_set()}")
    except ModuleNotFoundError as problem:
        raise ImportError(f"the compiled kernels have no {problem.name}: they are older than this checkout. "
                          f"From the repository's root run: pip install .") from None


@contextlib.contextmanager
def _short_waits() -> Iterator[None]:
    """While OpenMP is loaded, tell it that a thread without work is to look for some for half a millisecond and then sleep.

    That is longer than the time between two kernels. GNU's OpenMP would look for 15 times as long; on a busy machine that keeps the
    core from the very thread that the others wait for (a LeNet-5 step took 25 to 400 ms in place of 11). It reads its environment
    once, when the first kernel module brings it in, so the variable is set for that moment only, and never over the user's own.
    """
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "20000"
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


class _Module:
    """The compiled kernels of one folder, and how many threads they were told to use."""

    __slots__ = ("compiled", "threads")

    def __init__(self, compiled: Any) -> None:
        self.compiled, self.threads = compiled, 0


@cache
def _module(folder: str) -> _Module:
    return _Module(_compiled(folder))


class _Call:
    """How one kernel is called on arrays of one dtype.

    `module` is None for a NumPy definition. `workspace` says how many bytes of scratch the kernel wants; the argument `packs_at` is
    packed by `pack` into as many bytes as `packed_bytes` says; both are None where nothing is. `sizes` remembers what they said. Up to
    `unpacked` rows, what would be packed for this call only is left as it is.
    `inputs` are the arguments that may have to be made contiguous; `dtype` and `backend` what it was made for.
    """

    __slots__ = ("backend", "dtype", "function", "inputs", "module", "pack", "packed_bytes", "packs_at", "sizes", "unpacked",
                 "workspace", "workspace_at")

    def __init__(self, function: Callable[..., None], module: _Module | None, workspace: Callable[..., int] | None, workspace_at: int,
                 inputs: tuple[int, ...]) -> None:
        self.function, self.module, self.inputs = function, module, inputs
        self.workspace, self.workspace_at = workspace, workspace_at
        self.sizes: dict[Any, int] = {}
        self.pack, self.packed_bytes, self.packs_at, self.unpacked = None, None, -1, 0


def _call(name: str, dtype: np.dtype, backend: str) -> _Call:
    """How to run a kernel under the setting `backend`."""
    row = KERNELS[name]
    home = None if backend == "reference" or not row.cpu else _module(row.folder)
    module = None if home is None else home.compiled
    function = reference_kernel(name) if module is None else getattr(module, name)
    typed = hasattr(function, "__signatures__")
    if dtype not in SPECIALISATION and (typed or module is not None and row.packs is not None):
        return _call(name, dtype, "reference")
    function = _specialised(function, dtype)
    at = row.arguments.index("workspace") if "workspace" in row.arguments else -1
    workspace = None if at < 0 else reference_workspace(name) if module is None else getattr(module, name + "_workspace")
    inputs = () if row.strided else tuple(i for i, argument in enumerate(row.arguments) if argument not in row.fills)
    call = _Call(function, home, workspace, at, inputs)
    if module is not None and row.packs is not None:
        call.packs_at, call.unpacked = row.arguments.index(row.packs), row.unpacked
        call.pack, call.packed_bytes = _specialised(getattr(module, name + "_pack"), dtype), getattr(module, name + "_packed_bytes")
    return call


def _specialised(function: Any, dtype: np.dtype) -> Any:
    """A kernel for this dtype, where it is one for several: Cython's dispatch on the argument types costs microseconds at each call."""
    return function[SPECIALISATION[dtype]] if hasattr(function, "__signatures__") else function


MOST_CALLS = 16                                   # of one kernel
MOST_REMEMBERED = 4096                            # sizes, for each kernel
MOST_PACKED = 4                                   # layouts of one array: every size of image has its own, four times as large at most


def _scratch(call: _Call, sizing: Callable[..., int], first: Any, last: Any, key: tuple[Any, Any]) -> np.ndarray:
    """As many bytes as `sizing(first, last)` says, which is remembered by `key`: a step asks for the same few again and again."""
    wanted = call.sizes.get(key)
    if wanted is None:
        if len(call.sizes) >= MOST_REMEMBERED:
            call.sizes.clear()
        wanted = call.sizes[key] = sizing(first, last)
    return memory.empty((wanted,), BYTES)


def _with_packed(call: _Call, kernel: str, arguments: tuple[Any, ...], kept: dict[Any, Any] | None) -> tuple[Any, ...]:
    """The arguments with the kernel's own layout of the one that it packs: as kept, or made now."""
    key, at = (kernel, arguments[-1]), call.packs_at
    array = None if kept is None else kept.get(key)
    if array is None:
        w = arguments[at]
        array = _scratch(call, call.packed_bytes, w, arguments[-1], (arguments[-1], shape_of(w)))
        call.pack(w, array, arguments[-1])
        if kept is not None:
            if len(kept) >= MOST_PACKED:
                kept.clear()
            kept[key] = array
    return arguments[:at] + (array,) + arguments[at + 1:]


class CPUBackend:
    """NumPy arrays, Cython kernels."""

    __slots__ = ("_calls",)                   # with no dict of its own to look into, its methods are found faster

    name = "cpu"
    empty = staticmethod(memory.empty)        # an array to be filled: from the pool where it is large, so that a step meets no fresh pages
    like = staticmethod(memory.like)
    repeated = staticmethod(memory.repeated)

    def __init__(self) -> None:
        self._calls: dict[str, list[_Call]] = {}          # by kernel, one for each dtype and setting that was met

    def run(self, kernel: str, *arguments: Any, packed: dict[Any, Any] | None = None, algorithm: str | None = None,
            moments: Any = None) -> None:
        """Run one kernel; inputs that are not C-contiguous are copied first unless the kernel takes strided arrays.

        What a kernel packs is kept in `packed`, by kernel and last argument, where one is given: the last few; it is for the caller to
        empty once what was packed has changed.
        `algorithm` is the kernel that computes it; without one, choice.py chooses where there is a choice. No `moments` are left here.
        """
        settings, first = current(), arguments[0]           # an array, or a tuple of them, which its owner has made contiguous
        if algorithm is not None:
            kernel = algorithm
        elif kernel in ALTERNATIVES and settings["backend"] != "reference":
            kernel = self._algorithm(kernel, arguments, settings, packed)
        dtype, backend = dtype_of(first[0] if type(first) is tuple else first), settings["backend"]
        call: _Call
        for call in self._calls.get(kernel, ()):
            if call.dtype is dtype and call.backend is backend:
                break
        else:
            call = self._remembered(kernel, dtype, backend)
        module: _Module | None = call.module
        if module is not None and module.threads != settings["threads"]:
            module.threads = settings["threads"]
            module.compiled.set_threads(module.threads)
        if call.workspace is not None:
            threads = 0 if module is None else module.threads        # each has scratch of its own
            scratch = _scratch(call, call.workspace, arguments[-1], first.itemsize, (arguments[-1], threads))
            arguments = (*arguments[:call.workspace_at], scratch, *arguments[call.workspace_at:])
        for i in call.inputs:
            if is_scattered(arguments[i]):
                arguments = (*arguments[:i], np.ascontiguousarray(arguments[i]), *arguments[i + 1:])
        if call.pack is not None and (packed is not None or call.unpacked == 0 or shape_of(first)[0] > call.unpacked):
            arguments = _with_packed(call, kernel, arguments, packed)
        call.function(*arguments)

    def _remembered(self, kernel: str, dtype: np.dtype, backend: str) -> _Call:
        """How to run a kernel, to be found at once the next time; arrays out of a pickle have dtype objects of their own."""
        known = self._calls.setdefault(kernel, [])
        if len(known) >= MOST_CALLS:
            known.clear()
        known.append(_call(kernel, dtype, backend))
        known[-1].dtype, known[-1].backend = dtype, backend
        return known[-1]

    def _algorithm(self, kernel: str, arguments: tuple[Any, ...], settings: dict[str, Any], packed: dict[Any, Any] | None) -> str:
        """The kernel to run in the place of one that others can stand in for."""
        call = kernel, arguments[-1], arguments[0].dtype, instruction_set(), settings["exact"]
        if not settings["tune"] or call[2] not in SPECIALISATION:
            return choose(*call)
        kept: dict[Any, Any] | None = None if packed is None else {}          # where weights stay packed, packing is not timed
        return tune(*call, lambda name: self.run(kernel, *arguments, packed=kept, algorithm=name))

    def memory_statistics(self, *, reset_peak: bool = False) -> dict[str, int]:
        """Bytes of pooled arrays (64 KB and more): in use now, cached for reuse, and the most in use since the peak was reset."""
        statistics = memory.statistics()
        if reset_peak:
            memory.reset_peak()
        return statistics

    def asarray(self, values: np.ndarray) -> np.ndarray:
        """NumPy arrays are the CPU's arrays."""
        return values

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        """NumPy arrays are the CPU's arrays."""
        return array

    def assign(self, array: np.ndarray, values: Any) -> None:
        """array[...] = values."""
        array[...] = values

    def constant(self, values: np.ndarray) -> np.ndarray:
        """NumPy arrays are the CPU's arrays."""
        return values

    def adopted(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """NumPy arrays are the CPU's arrays."""
        return arrays

    def whole(self, array: np.ndarray) -> np.ndarray:
        """A tensor on the CPU may hold a view."""
        return array

    def synchronize(self) -> None:
        """CPU kernels return when they are done."""


CPU = CPUBackend()
