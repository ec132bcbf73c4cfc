"""Arrays on the GPU shared with other libraries (torch, CuPy, JAX, Numba), both ways and without a copy.

Two protocols say where the numbers lie: the CUDA array interface, a dict (version 3 of Numba's description), and DLPack (dlpack.py). Both
also say in which stream. Each library works on a stream of its own, so whoever takes an array makes its stream wait, on the GPU, for what
was given to the other's; the host waits for nothing. Memory goes back to where it came from once the stream that used it has come so far.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dlpack
from .array import CudaArray, CudaView

if TYPE_CHECKING:
    from .backend import CUDABackend

LEGACY, PER_THREAD = 1, 2                  # the numbers of the two default streams, in both protocols and in the driver
VERSION = 3


def interface(backend: CUDABackend, array: CudaArray) -> dict[str, Any]:
    """The CUDA array interface of an array: who takes it waits for "stream", ours."""
    return {"shape": array.shape, "typestr": array.dtype.str, "data": (array.pointer if array.size else 0, False), "version": VERSION,
            "strides": array.strides if type(array) is CudaView else None, "stream": int(backend.driver.compute)}


def lent(backend: CUDABackend, array: CudaArray, *, stream: int | None = None, max_version: tuple[int, int] | None = None,
         dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
    """The DLPack capsule of an array (`__dlpack__`): the taker's `stream` will wait for what was started on ours.

    stream   a stream's number; None and 1 are the default stream, 2 that of the thread, -1: nobody is to wait.
    copy     True lends a copy. BufferError: another device is asked for.
    """
    if stream == 0:
        raise ValueError("__dlpack__: stream 0 could be either default stream. Give 1 (legacy) or 2 (per thread)")
    if dl_device is not None and tuple(dl_device) != dlpack.DEVICE:
        raise BufferError(f"this tensor is on the GPU {dlpack.DEVICE}, and device {tuple(dl_device)} is asked for. Use x.to('cpu')")
    lends = backend.taken(array, copy=bool(copy))
    taker = LEGACY if stream is None else stream
    if taker == -1:
        return dlpack.capsule(lends, lambda: None)
    follows(backend, taker, backend.driver.compute)
    return dlpack.capsule(lends, lambda: follows(backend, backend.driver.compute, taker))


def borrowed(backend: CUDABackend, values: Any) -> CudaArray:
    """The array behind another library's, shared: by DLPack where it has that, or by the CUDA array interface.

    What our stream is given from now on waits for what theirs has been given. TypeError for values that no tensor holds.
    """
    if hasattr(values, "__dlpack__"):
        found, give_back = dlpack.opened(values.__dlpack__(stream=int(backend.driver.compute)), _said(values))
        return _on(backend, found, values, give_back)
    said = values.__cuda_array_interface__
    if said.get("mask") is not None:
        raise TypeError(f"{_said(values)} has a mask, and a Tensor has none. Say what the masked values are")
    dtype = np.dtype(said["typestr"])
    found = dlpack.Found(said["data"][0], tuple(said["shape"]), dtype, said.get("strides"))
    stream = said.get("stream") if said.get("version", 0) >= VERSION else LEGACY
    if stream == 0:
        raise ValueError(f"{_said(values)} names stream 0, which could be either default stream; its library must say 1 or 2")
    if stream is not None:
        follows(backend, backend.driver.compute, stream)
    return _on(backend, found, values, None)


def follows(backend: CUDABackend, later: Any, first: Any) -> None:
    """What the stream `later` is given from now on waits for what `first` has been given so far."""
    mark = backend.driver.event()
    backend.driver.record(mark, first)
    backend.driver.wait(later, mark)


class Borrowed:
    """Memory that another library owns: it is given back once the GPU has done what it was asked here."""

    __slots__ = ("_backend", "_give_back", "_owner", "pointer")

    def __init__(self, backend: CUDABackend, pointer: int, owner: Any, give_back: Callable[[], None] | None) -> None:
        self._backend, self.pointer, self._owner, self._give_back = backend, pointer, owner, give_back

    def __del__(self) -> None:
        mark = self._backend.driver.event()
        self._backend.driver.record(mark, self._backend.driver.compute)
        self._backend.driver.finish(mark)                 # on which stream the owner will use it again is not known here
        if self._give_back is not None:
            self._give_back()


def _on(backend: CUDABackend, found: dlpack.Found, owner: Any, give_back: Callable[[], None] | None) -> CudaArray:
    """The array over borrowed memory: a view where it is not in row-major order."""
    dtype = found.dtype
    memory = Borrowed(backend, found.pointer, owner, give_back)
    if dtype.kind not in "biuf" or dtype == np.float16 or dtype.itemsize > 8:
        raise TypeError(f"a Tensor holds bool, integers, float32 or float64; got {_said(owner)} of {dtype}")
    whole = CudaArray(memory, found.shape, dtype)
    if found.strides is None or not whole.size or _same(found.shape, found.strides, whole.strides):
        return whole
    return CudaView(memory, found.shape, dtype, found.pointer, tuple(found.strides))


def _same(shape: tuple[int, ...], strides: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Whether two lists of strides lead to the same places: along an axis of length 1 there is no step."""
    return all(a == b for length, a, b in zip(shape, strides, others) if length > 1)


def _said(values: Any) -> str:
    return f"a {type(values).__module__.partition('.')[0]} {type(values).__name__}"


__all__ = ["borrowed", "follows", "interface", "lent"]
