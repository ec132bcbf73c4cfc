"""Arrays between two pages that nobody may touch: a kernel that reads or writes one element too far ends the process there and then."""
from __future__ import annotations

import ctypes
import math
import mmap

import numpy as np

PAGE = mmap.PAGESIZE


class Guarded:
    """Makes arrays that begin right behind a forbidden page, or with `at_end` end right before one; `close` when none is used any more."""

    def __init__(self, at_end: bool) -> None:
        self.at_end, self._maps = at_end, []
        self._protect = ctypes.CDLL(None, use_errno=True).mprotect
        self._protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array of 0xFF bytes: NaN in either floating type."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        pages = -(-max(nbytes, 1) // PAGE) * PAGE
        room = mmap.mmap(-1, pages + 2 * PAGE)
        whole = np.frombuffer(room, np.uint8)
        for forbidden in (0, PAGE + pages):
            assert self._protect(whole.ctypes.data + forbidden, PAGE, 0) == 0
        self._maps.append((room, whole, pages))
        start = PAGE + (pages - nbytes if self.at_end else 0)
        whole[start:start + nbytes] = 0xFF
        return whole[start:start + nbytes].view(dtype).reshape(shape)

    def like(self, values: np.ndarray) -> np.ndarray:
        """A copy of the values."""
        made = self.empty(values.shape, values.dtype)
        made[...] = values
        return made

    def close(self) -> None:
        """Let the pages be touched again, so that they can be given back."""
        for _, whole, pages in self._maps:
            for forbidden in (0, PAGE + pages):
                assert self._protect(whole.ctypes.data + forbidden, PAGE, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        self._maps.clear()
