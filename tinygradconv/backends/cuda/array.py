"""An array on the GPU: where it begins, its shape, its dtype, and the block of memory that it keeps alive."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .allocator import Block


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
        found, step = [], self.dtype.itemsize
        for length in reversed(self.shape):
            found.append(step)
            step *= length
        return tuple(reversed(found))

    def reshape(self, shape: tuple[int, ...]) -> CudaArray:
        """The same memory in another shape; ValueError where that has another number of elements."""
        if prod(shape) != self.size:
            raise ValueError(f"reshape: {self.shape} has {self.size} elements, {shape} has {prod(shape)}")
        return CudaArray(self.block, shape, self.dtype, self.pointer)

    def __getitem__(self, index: None) -> CudaArray:
        """x[None]: the same memory with one more axis, of length 1, in front."""
        if index is not None:
            raise TypeError(f"a CudaArray has no parts ({index!r}); its numbers are read by kernels. Use the tensor's indexing")
        return self.reshape((1, *self.shape))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array with no axes has no length")
        return self.shape[0]

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("this array is on the GPU and NumPy cannot read it. Use x.to('cpu')")

    def __repr__(self) -> str:
        return f"CudaArray(shape={self.shape}, dtype={self.dtype}, pointer=0x{self.pointer:x})"


__all__ = ["CudaArray"]
