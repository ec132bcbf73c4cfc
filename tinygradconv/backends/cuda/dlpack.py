"""DLPack: the C structures with which libraries hand each other arrays, in a Python capsule that is opened once.

The structures are those of dlpack.h, without a version (a capsule named "dltensor"), which every library reads and writes. Who opens a
capsule renames it, and calls its deleter when done. What is in a capsule that nobody opened is taken back when the next one is made: a
capsule's own destructor may run while an exception is under way, when Python's functions must not.
"""
from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .array import CudaArray

CUDA = 2
DEVICE = CUDA, 0                           # (kDLCUDA, the first GPU)
NAME, OPENED = b"dltensor", b"used_dltensor"
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
KINDS = {code: kind for kind, code in CODES.items()}
WIDTHS = {"i": (8, 16, 32, 64), "u": (8, 16, 32, 64), "f": (32, 64), "b": (8,)}


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("number", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _DataType),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64))


class Managed(ctypes.Structure):
    """dlpack.h's DLManagedTensor: the tensor, a pointer for its owner, and the owner's function that takes it back."""

    DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER))


@dataclass(frozen=True)
class Found:
    """Where another library's numbers lie; strides in bytes, or None where they lie in row-major order."""

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...] | None


def _python(name: str, answer: Any, *arguments: Any) -> Any:
    """A function of Python's C interface; a capsule is handed by its address."""
    return ctypes.PYFUNCTYPE(answer, *arguments)((name, ctypes.pythonapi))


_NEW = _python("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_IS = _python("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
_POINTER = _python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_RENAME = _python("PyCapsule_SetName", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)

_lent: dict[int, tuple[Any, ...]] = {}     # what others have of ours, by the address of its structure, with what is to be done afterwards
_given: list[tuple[Any, int]] = []         # capsules that may still be opened, and the addresses in them


@Managed.DELETER
def _taken_back(address: int) -> None:
    """Called by whoever opened a capsule, from any thread, when it is done."""
    *_, afterwards = _lent.pop(address)
    afterwards()


def sweep() -> None:
    """Forget capsules that have been opened, and take back what is in those that nobody has any more."""
    waiting, _given[:] = _given[:], []
    while waiting:
        given, address = waiting.pop()
        if _IS(id(given), OPENED):
            continue
        if sys.getrefcount(given) > 2:                 # someone else has it: here it is `given`, and the argument of this call
            _given.append((given, address))
        else:
            _taken_back(address)


def capsule(array: CudaArray, afterwards: Callable[[], None]) -> Any:
    """A capsule with an array, which lives until its taker is done; then `afterwards` is called."""
    sweep()
    shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
    strides = (ctypes.c_int64 * max(array.ndim, 1))(*[stride // array.itemsize for stride in array.strides])
    tensor = _Tensor(array.pointer if array.size else None, _Device(*DEVICE), array.ndim,
                     _DataType(CODES[array.dtype.kind], 8 * array.itemsize, 1), shape, strides, 0)
    managed = Managed(tensor, None, _taken_back)
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, strides, array, afterwards
    made = _NEW(address, NAME, None)
    _given.append((made, address))
    return made


def opened(given: Any, said: str) -> tuple[Found, Callable[[], None]]:
    """(where the numbers in a capsule lie, what gives them back). `said` names whose they are, for errors.

    ValueError: the capsule was opened before. TypeError: its values, or its device, are none that a tensor has.
    """
    if not _IS(id(given), NAME):
        raise ValueError(f"{said} gave something that is no DLPack capsule, or that has been opened before: {given!r}")
    managed = Managed.from_address(_POINTER(id(given), NAME))
    tensor = managed.tensor
    kind, bits = KINDS.get(tensor.dtype.code, ""), tensor.dtype.bits
    if bits not in WIDTHS.get(kind, ()) or tensor.dtype.lanes != 1:
        raise TypeError(f"a Tensor holds bool, integers, float32 or float64; got {said} of DLPack's type {tensor.dtype.code}, {bits} bits")
    if tensor.device.number != DEVICE[1]:
        raise ValueError(f"{said} is on GPU {tensor.device.number}, and tinygradconv computes on GPU 0. Move it there first")
    dtype = np.dtype(f"{kind}{bits // 8}")
    strides = tuple(dtype.itemsize * tensor.strides[i] for i in range(tensor.ndim)) if tensor.strides else None
    found = Found((tensor.data or 0) + tensor.offset, tuple(tensor.shape[:tensor.ndim]), dtype, strides)
    address = ctypes.addressof(managed)
    _RENAME(id(given), OPENED)

    def give_back() -> None:
        if managed.deleter:
            managed.deleter(address)
    return found, give_back


__all__ = ["DEVICE", "Found", "capsule", "opened", "sweep"]
