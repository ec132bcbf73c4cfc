"""Back ends: where arrays live, and how the name of a kernel becomes a function that fills them.

A back end offers

    empty(shape, dtype)          an array to be filled; like(array), one of the same shape and dtype
    run(kernel, *arguments)      one kernel of the manifest, arguments in the manifest's order (scratch is added here)
    asarray(values) / to_numpy(array) / assign(array, values)
    constant(values), adopted(arrays), whole(view)     what ops hand to kernels: constants, bare numbers, views
    synchronize()                wait for what was started

The array decides which back end works on it (`backend_of`); nothing here is a current device that could leak.
"""
from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from tinygradconv.kernels import ACTIVATIONS, CHANGES

from .abstract import ABSTRACT, AbstractArray
from .cpu import CPU


class Backend(Protocol):
    """What an op's forward pass is handed as its first argument."""

    name: str

    def like(self, array: Any) -> Any:
        """`empty` with the shape and dtype of an array."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A C-contiguous array whose values are still to be filled."""

    def repeated(self, array: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
        """A view of an array under `shape`, repeated along `axes`, which the array has with length 1 or not at all."""

    def run(self, kernel: str, *arguments: Any) -> None:
        """Run one kernel of the manifest."""

    def asarray(self, values: np.ndarray) -> Any:
        """The same values where this back end keeps its arrays."""

    def to_numpy(self, array: Any) -> np.ndarray:
        """The same values as a NumPy array."""

    def assign(self, array: Any, values: Any) -> None:
        """Change an array in place: array[...] = values, which NumPy holds."""

    def constant(self, values: np.ndarray) -> Any:
        """The same values where this back end keeps its arrays, never to be written to; they may be shared with others who ask."""

    def adopted(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """The operands of an op, numbers among them that are not yet where this back end keeps its arrays."""

    def whole(self, array: Any) -> Any:
        """What a tensor may hold of an array or a view of one."""

    def synchronize(self) -> None:
        """Return when everything that was started has ended."""


def backend_of(array: Any) -> Backend:
    """The back end whose kernels work on this array."""
    if type(array) is np.ndarray:
        return CPU
    if isinstance(array, AbstractArray):
        return ABSTRACT
    if getattr(type(array), "device", None) == "cuda":
        return backend_named("cuda")
    if isinstance(array, np.generic):                  # one number, as NumPy's functions may give in the place of an array
        return CPU
    raise TypeError(f"no back end works on arrays of type {type(array).__name__}")


def is_on_gpu(values: Any) -> bool:
    """Whether these are numbers on an NVIDIA GPU, ours or another library's: whatever speaks the CUDA array interface, or DLPack."""
    if isinstance(values, (np.ndarray, int, float, list, tuple)):
        return False
    if getattr(type(values), "device", None) == "cuda" or hasattr(values, "__cuda_array_interface__"):
        return True
    return hasattr(values, "__dlpack_device__") and values.__dlpack_device__()[0] in DLPACK_CUDA


DLPACK_CUDA = 2, 13                  # kDLCUDA, kDLCUDAManaged
_made: dict[str, Backend] = {"cpu": CPU}
_making = threading.Lock()


def backend_named(device: str) -> Backend:
    """The back end of a device by its name; ValueError says which there are, RuntimeError why this machine has none for "cuda".

    There is one of each in a process, made when it is first asked for.
    """
    found = _made.get(device) if isinstance(device, str) else None
    if found is not None:
        return found
    if device != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda', got {device!r}")
    with _making:
        if device not in _made:
            _made[device] = _first_gpu()
    return _made[device]


def loaded(device: str) -> Backend | None:
    """The back end of a device where it has been made, None where nobody has asked for it yet."""
    return _made.get(device)


def _first_gpu() -> Backend:
    """The back end of the machine's first GPU; RuntimeError says all that is missing."""
    from .cuda.toolchain import obstacles
    found = obstacles()
    if found:
        raise RuntimeError(f"to('cuda'): {'; '.join(found)}. Tensors stay on 'cpu'; `tinygradconv doctor` says what this machine has")
    from .cuda.backend import CUDABackend
    from .cuda.driver import Driver
    return CUDABackend(Driver())


def filled(like: Any, value: float) -> Any:
    """A fresh array shaped like this one, of its dtype and on its device, all of one value."""
    backend = backend_of(like)
    made = backend.empty(like.shape, like.dtype)
    backend.run("copy", backend.constant(np.asarray(value, like.dtype)), made)
    return made


def piece(flat: Any, start: int, shape: tuple[int, ...]) -> Any:
    """The numbers from `start` on of an array of one axis, CPU or GPU, as an array of this shape: the same memory."""
    if type(flat) is np.ndarray:
        return flat[start:start + prod(shape)].reshape(shape)
    return type(flat)(flat.block, shape, flat.dtype, flat.pointer + start * flat.itemsize)


def memory_statistics(device: str = "cpu", *, reset_peak: bool = False) -> dict[str, int]:
    """Bytes of the arrays that a device's pool has handed out: "in_use" now, "cached" for reuse, and the "peak" of in_use.

    `reset_peak` begins a new peak, at what is in use, after this answer. On the CPU only arrays of 64 KB and more come from the pool; on
    the GPU ("cuda") all do.
    """
    return backend_named(device).memory_statistics(reset_peak=reset_peak)


__all__ = ["ABSTRACT", "ACTIVATIONS", "CHANGES", "CPU", "AbstractArray", "Backend", "backend_named", "backend_of", "filled", "is_on_gpu",
           "loaded", "memory_statistics", "piece"]
