"""An array on the GPU: where it begins, its shape, its dtype, and the block of memory that it keeps alive.

A tensor's array is a CudaArray, whole and in order. What NumPy calls a view (a transpose, a slice, a broadcast) is a CudaView, which
kernels that take strided arrays read and write; it lives within an op's forward pass only. How a view lies is asked of NumPy, by an array
of the same shape and strides that has no values.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .allocator import Block


@lru_cache(maxsize=4096)
def _row_major(shape: tuple[int, ...], step: int) -> tuple[int, ...]:
    """The strides of numbers of `step` bytes that lie one after the other."""
    found = []
    for length in reversed(shape):
        found.append(step)
        step *= length
    return tuple(reversed(found))


class CudaArray:
    """Numbers that lie one after the other in row-major order from `pointer` on; they are read and written by kernels only."""

    __slots__ = ("__weakref__", "block", "dtype", "pointer", "shape", "size")

    device = "cuda"

    def __init__(self, block: Block | Any, shape: tuple[int, ...], dtype: np.dtype, pointer: int | None = None) -> None:
        self.block, self.shape, self.dtype = block, shape, dtype
        self.pointer = block.pointer if pointer is None else pointer
        self.size = prod(shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers."""
        return self.size * self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one number to the next along each axis."""
        return _row_major(self.shape, self.dtype.itemsize)

    def reshape(self, *shape: Any) -> CudaArray:
        """The same memory in another shape, where one length may be -1; ValueError where that has another number of elements."""
        wanted: tuple[int, ...] = shape[0] if len(shape) == 1 and type(shape[0]) is tuple else shape
        if -1 in wanted:
            known = -prod(wanted)
            wanted = tuple([self.size // (known or 1) if length == -1 else length for length in wanted])
        if prod(wanted) != self.size:
            raise ValueError(f"reshape: {self.shape} has {self.size} elements, {wanted} has {prod(wanted)}")
        return CudaArray(self.block, wanted, self.dtype, self.pointer)

    def transpose(self, axes: tuple[int, ...]) -> CudaView:
        """The axes in another order, as NumPy has them."""
        return self._seen(lambda array: array.transpose(axes))

    def __getitem__(self, index: Any) -> CudaArray:
        """The part that NumPy's index picks, of slices, integers, None and an ellipsis; x[None] is whole as x is."""
        if index is None:
            return self.reshape((1, *self.shape))
        parts = index if type(index) is tuple else (index,)
        return self._seen(lambda array: array[parts if Ellipsis in parts else (*parts, ...)])        # an array, even of one value

    def _seen(self, look: Callable[[np.ndarray], np.ndarray]) -> CudaView:
        """What `look` makes of this array."""
        nothing = np.empty(1, self.dtype)
        view = look(as_strided(nothing, self.shape, self.strides))
        offset = view.__array_interface__["data"][0] - nothing.__array_interface__["data"][0]
        return CudaView(self.block, view.shape, self.dtype, self.pointer + offset, view.strides)

    def __array_function__(self, function: Any, types: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What NumPy's functions do with such arrays: np.broadcast_to and np.may_share_memory are known, no other."""
        if function is np.broadcast_to:
            return arguments[0]._seen(lambda array: np.broadcast_to(array, arguments[1]))
        if function is np.may_share_memory:
            a, b = arguments
            return isinstance(a, CudaArray) and isinstance(b, CudaArray) and a.block is b.block
        raise TypeError(f"np.{function.__name__}: this array is on the GPU and NumPy cannot read it. Use x.to('cpu')")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where the numbers are, for another library: interop.py."""
        from .interop import interface
        return interface(_backend(), self)

    def __dlpack__(self, **options: Any) -> Any:
        """The numbers for another library, in a capsule: interop.py."""
        from .interop import lent
        return lent(_backend(), self, **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        from .dlpack import DEVICE
        return DEVICE

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array with no axes has no length")
        return self.shape[0]

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("this array is on the GPU and NumPy cannot read it. Use x.to('cpu')")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype}, pointer=0x{self.pointer:x})"


class CudaView(CudaArray):
    """Numbers of a CudaArray that lie anyhow: `strides` bytes from one to the next along each axis."""

    __slots__ = ("strides",)

    def __init__(self, block: Block | Any, shape: tuple[int, ...], dtype: np.dtype, pointer: int, strides: tuple[int, ...]) -> None:
        super().__init__(block, shape, dtype, pointer)
        self.strides = strides

    def reshape(self, *shape: Any) -> CudaArray:
        """A view has the shape that it has: always a TypeError."""
        raise TypeError(f"reshape: a CudaView of shape {self.shape} is not whole. Copy it first: backend.whole(view)")


def _backend() -> Any:
    """The back end of the one GPU, on which all these arrays are."""
    from tinygradconv.backends import backend_named
    return backend_named("cuda")


__all__ = ["CudaArray", "CudaView"]
