"""A driver without a GPU: the interface of tinygradconv/backends/cuda/driver.py over the host's memory, and a diary of what it was asked.

What the GPU would do later happens at once, except where a test asks for the order: every call is noted in `calls`.
"""
from __future__ import annotations

import ctypes
from typing import Any

from tinygradconv.backends.cuda.errors import CudaError, OutOfMemory


class StubDriver:
    """`total` bytes of memory; `fails`, the next calls that are to fail: a name of a call and the driver's name of the error."""

    architecture, name, multiprocessors = "sm_90", "Stub", 4

    def __init__(self, total: int = 64 << 20) -> None:
        self.total, self.held, self.calls, self.fails = total, {}, [], []
        self.launches: list[tuple[Any, ...]] = []

    def _note(self, call: str, *details: Any) -> None:
        self.calls.append((call, *details))
        if self.fails and self.fails[0][0] == call:
            raise CudaError(*self.fails.pop(0))

    def allocate(self, nbytes: int) -> int:
        self._note("allocate", nbytes)
        if nbytes > self.memory()[0]:
            raise OutOfMemory("allocate", "CUDA_ERROR_OUT_OF_MEMORY")
        buffer = ctypes.create_string_buffer(nbytes)
        self.held[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, pointer: int) -> None:
        self._note("free", pointer)
        del self.held[pointer]

    def memory(self) -> tuple[int, int]:
        return self.total - sum(len(buffer) for buffer in self.held.values()), self.total

    def fill(self, pointer: int, byte: int, nbytes: int) -> None:
        self._note("fill", pointer, byte, nbytes)
        assert nbytes <= len(self.held[pointer])
        ctypes.memset(pointer, byte, nbytes)
