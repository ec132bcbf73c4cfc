"""A kernel becomes machine code: Numba makes PTX of its Python function, CUDA's linker a cubin of the PTX. No GPU and no driver is asked.

The only module that imports numba-cuda, so that a move to its successor stays here (and in kernels/cuda/intrinsics.py, which only this
module imports). Numba is used as a compiler and nothing else: its own launch takes twenty times as long as launch.py's.

Two traps of numba-cuda 0.30, both dealt with in `_numba` and `_as_if_on`:
- it calls np.row_stack, which NumPy 2.5 no longer has (NVIDIA/numba-cuda issue 907);
- functions that a kernel calls are compiled for the GPU that is there, and fail where there is none, whatever was asked for.
"""
from __future__ import annotations

import contextlib
import re
import threading
import types
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from tinygradconv.kernels.cuda import language
from tinygradconv.kernels.cuda.language import CudaKernel, DeviceFunction, Scalar

from .closure import enclosed_by, globals_of
from .report import Compiled, Report
from .sass import counted_in_ptx

ARCHITECTURES = ("sm_80", "sm_90")
PTX_FOR = {architecture: ARCHITECTURES[0] for architecture in ARCHITECTURES}       # PTX serves all later GPUs; the linker does the rest
_LOCK = threading.Lock()                       # Numba compiles one function at a time anyway
_DEVICE_FUNCTIONS: dict[tuple[Any, ...], WeakKeyDictionary[DeviceFunction, Any]] = {}             # by capability; see _meaning


def compile(kernel: CudaKernel, architecture: str) -> Compiled:
    """A kernel's machine code for an architecture, "sm_80" or "sm_90" ("sm_90a" for instructions of the H100 alone), and its report.

    RuntimeError with the compiler's words where the function is not one that Numba understands, ImportError where it is not installed.
    """
    ptx = to_ptx(kernel, PTX_FOR.get(architecture, architecture))
    entry = re.search(r"\.visible \.entry (\S+?)\(", ptx)
    assert entry is not None, "PTX without an entry"
    cubin, said = _linked(ptx, architecture)
    return Compiled(entry[1], cubin, _report(said, ptx))


@lru_cache(maxsize=4)                          # the same PTX is linked for several GPUs, one after the other
def to_ptx(kernel: CudaKernel, architecture: str) -> str:
    """A kernel's PTX for an architecture and those after it ("sm_90a": for that one alone). Takes a second; all else is quick."""
    cuda = _numba()
    capability = _capability(architecture)
    with _LOCK, _as_if_on(capability):
        function = _translated(kernel.function, _DEVICE_FUNCTIONS.setdefault(capability, WeakKeyDictionary()))
        signature = cuda.types.void(*(_numba_type(kind) for _, kind in kernel.parameters))
        try:
            ptx, _ = cuda.compile(function, signature, cc=capability, device=False, abi="numba", output="ptx",
                                  launch_bounds=(kernel.threads, kernel.min_blocks))
        except Exception as problem:
            raise RuntimeError(f"{kernel.label} does not compile: {problem}") from problem
    return ptx


@cache
def _numba() -> Any:
    """The module numba.cuda."""
    import numpy as np
    if not hasattr(np, "row_stack"):
        np.row_stack = np.vstack  # noqa: NPY201
    try:
        from numba import cuda
    except ImportError as problem:
        from .toolchain import INSTALL
        raise ImportError(f"CUDA kernels are compiled by numba-cuda, which cannot be imported ({problem}): {INSTALL}") from None
    return cuda


def _capability(architecture: str) -> tuple[Any, ...]:
    """(9, 0) of "sm_90", (9, 0, "a") of "sm_90a"."""
    found = re.fullmatch(r"sm_(\d+)(\d)(a?)", architecture)
    if found is None:
        raise ValueError(f"architecture must be of the form 'sm_90' or 'sm_90a', got {architecture!r}")
    return (int(found[1]), int(found[2]), *found[3])


@contextlib.contextmanager
def _as_if_on(capability: tuple[Any, ...]) -> Iterator[None]:
    """Numba's dispatcher of device functions believes that there is a GPU of this capability."""
    from numba.cuda import dispatcher
    real = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = real


def _numba_type(kind: str) -> Any:
    """Numba's type of a parameter: a number, or a pointer to numbers."""
    known = _numba().types
    scalar = getattr(known, kind.removesuffix("*"))
    return known.CPointer(scalar) if kind.endswith("*") else scalar


def _translated(function: types.FunctionType, made: WeakKeyDictionary[DeviceFunction, Any]) -> types.FunctionType:
    """The same function over Numba's meanings of the language's words: in its globals and in what it closes over."""
    names = {name: _meaning(value, made) for name, value in globals_of(function).items()}
    cells = tuple(types.CellType(_meaning(value, made)) for value in enclosed_by(function).values())
    return types.FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__, cells)


def _meaning(value: Any, made: WeakKeyDictionary[DeviceFunction, Any]) -> Any:
    """What Numba is to see where the language has `value`.

    A device function is translated once (`made`), and so compiled once for the types it is called with: most of a kernel is such
    functions, which it shares with others.
    """
    if value is language.cuda:
        return _numba()
    if value is language.ptx:
        from tinygradconv.kernels.cuda import intrinsics
        return intrinsics
    if isinstance(value, Scalar):
        return getattr(_numba().types, value.name)
    if isinstance(value, tuple):
        return tuple(_meaning(item, made) for item in value)
    if isinstance(value, DeviceFunction):
        if value not in made:
            made[value] = None                                 # one that calls itself cannot be inlined; Numba says so of None
            made[value] = _numba().jit(device=True, forceinline=True)(_translated(value.function, made))
        return made[value]
    return value


def _linked(ptx: str, architecture: str) -> tuple[bytes, str]:
    """(cubin, what ptxas said) of PTX."""
    from cuda.core import Linker, LinkerOptions, ObjectCode
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=LinkerOptions(arch=architecture, ptxas_options=["-v"]))
    try:
        return bytes(linker.link("cubin").code), linker.get_info_log()
    except Exception as problem:
        raise RuntimeError(f"the PTX of a kernel does not link for {architecture}: {problem} {linker.get_error_log()}") from problem


def _report(said: str, ptx: str) -> Report:
    """The report of one kernel in the words of ptxas."""
    def number(pattern: str) -> int:
        found = re.search(rf"(\d+) {pattern}", said)
        return int(found[1]) if found else 0
    registers = re.search(r"Used (\d+) registers", said)
    if registers is None:
        raise RuntimeError(f"the linker said nothing of registers: {said!r}")
    return Report(int(registers[1]), number("bytes stack frame"), number("bytes spill stores"), number("bytes spill loads"),
                  _static_shared(ptx), counted_in_ptx(ptx))


def _static_shared(ptx: str) -> int:
    """Bytes of the shared arrays that PTX declares, each at a multiple of its alignment; the linker's report leaves them out."""
    end = 0
    for align, size in re.findall(r"^(?:\.visible )?\.shared \.align (\d+) \.b8 \S+\[(\d+)\];", ptx, re.M):
        end = -(-end // int(align)) * int(align) + int(size)
    return end


__all__ = ["ARCHITECTURES", "compile", "to_ptx"]
