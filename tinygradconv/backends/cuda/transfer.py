"""Copies between the host's memory and the GPU's, through two pinned buffers.

The GPU copies by itself only from memory that the system never moves (pinned), which is dear to make. So there are two buffers that are
kept: while the GPU copies one, the host fills, or empties, the other. Copies run on a stream of their own, beside what is computed; two
marks keep the order: a copy starts after what the compute stream was given before it, and what that is given afterwards waits for the copy.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from ctypes import c_char, memmove
from typing import Any

import numpy as np

from tinygradconv.backends.live import recording_here, refuse

FEW = 256                                  # bytes that are read while the GPU goes on
CHUNK = 4 << 20                            # bytes of a buffer: long enough for the bus, short enough that the first copy starts soon


class Transfers:
    """Copies both ways over a driver; one at a time, from any thread."""

    def __init__(self, driver: Any, chunk: int = CHUNK) -> None:
        self._driver, self._chunk = driver, chunk
        self._lock = threading.Lock()
        self._buffers: list[tuple[int, Any]] = []              # (address, the mark after the copy that used it last)
        self._turns: list[Any] = []                            # two more marks, where one stream waits for the other
        self._spare: list[tuple[int, Any]] = []                # (address of FEW bytes, mark), for Later

    def to_device(self, values: np.ndarray, pointer: int) -> None:
        """Copy an array's numbers, in row-major order, to `pointer`. They have been read when this returns; the copy may still run."""
        if (recording := recording_here()) is not None:
            return recording.constant(values, pointer)
        values = np.ascontiguousarray(values)
        with self._lock:
            self._then(0, self._driver.compute, self._driver.copies)
            for offset, nbytes, (buffer, ready) in self._chunks(values.nbytes):
                self._driver.finish(ready)
                memmove(buffer, values.ctypes.data + offset, nbytes)
                self._driver.copy_in(pointer + offset, buffer, nbytes, self._driver.copies)
                self._driver.record(ready, self._driver.copies)
            self._then(1, self._driver.copies, self._driver.compute)

    def to_host(self, pointer: int, values: np.ndarray) -> None:
        """Fill a C-contiguous array from `pointer`, with what is there once all that was started has been computed."""
        if not (values.flags.c_contiguous and values.flags.writeable):
            raise ValueError("to_host: the array to fill must be C-contiguous and writeable")
        refuse("reads values of the GPU on the host (item(), numpy(), tolist(), float(), bool(), print, a custom_op): return the tensor, "
               "and read it after the call")
        with self._lock:
            self._then(0, self._driver.compute, self._driver.copies)
            under_way = None
            for offset, nbytes, (buffer, ready) in self._chunks(values.nbytes):
                self._driver.copy_out(buffer, pointer + offset, nbytes, self._driver.copies)
                self._driver.record(ready, self._driver.copies)
                self._empty(under_way, values)
                under_way = offset, nbytes, buffer, ready
            self._empty(under_way, values)

    def later(self, pointer: int, shape: tuple[int, ...], dtype: np.dtype) -> Later:
        """Begin to read the few numbers at `pointer`, once all that was started so far has been computed; the host goes on."""
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if nbytes > FEW:
            raise ValueError(f"later: at most {FEW} bytes are read while the GPU goes on, got {nbytes}")
        with self._lock:
            place = self._spare.pop() if self._spare else (self._driver.pinned(FEW), self._driver.event())
        # On the compute stream itself: memory that is given back is used again in its order, so the numbers need not be kept for the copy.
        self._driver.copy_out(place[0], pointer, nbytes, self._driver.compute)
        self._driver.record(place[1], self._driver.compute)
        return Later(self._driver, self._spare, place, shape, dtype)

    def waiting(self) -> AbstractContextManager[Any]:
        """While it is held, copies of other threads wait: a stream that records must not be waited for, nor wait."""
        return self._lock

    def _chunks(self, nbytes: int) -> Iterator[tuple[int, int, tuple[int, Any]]]:
        """(offset, bytes, buffer with its mark) of each piece, the two buffers in turn."""
        while len(self._buffers) < 2:
            self._buffers.append((self._driver.pinned(self._chunk), self._driver.event()))
        for number, offset in enumerate(range(0, nbytes, self._chunk)):
            yield offset, min(self._chunk, nbytes - offset), self._buffers[number % 2]

    def _empty(self, copied: tuple[int, int, int, Any] | None, values: np.ndarray) -> None:
        if copied is not None:
            offset, nbytes, buffer, ready = copied
            self._driver.finish(ready)
            memmove(values.ctypes.data + offset, buffer, nbytes)

    def _then(self, turn: int, first: Any, then: Any) -> None:
        """What the stream `then` is given from now on waits for what `first` has been given so far."""
        while len(self._turns) < 2:
            self._turns.append(self._driver.event())
        self._driver.record(self._turns[turn], first)
        self._driver.wait(then, self._turns[turn])


class Later:
    """A few numbers on their way to the host: `numpy()` waits for them, and for nothing that was started after they were asked for."""

    def __init__(self, driver: Any, spare: list[tuple[int, Any]], place: tuple[int, Any], shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._driver, self._spare, self._place, self._shape, self._dtype = driver, spare, place, shape, dtype

    def numpy(self) -> np.ndarray:
        """The numbers; to be asked for once."""
        address, mark = self._place
        self._driver.finish(mark)
        made = np.empty(self._shape, self._dtype)
        memmove(made.ctypes.data, (c_char * max(made.nbytes, 1)).from_address(address), made.nbytes)
        self._spare.append(self._place)
        return made


__all__ = ["Later", "Transfers"]
