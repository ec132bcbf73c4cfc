"""Memory of the GPU, kept and handed out again.

The driver's own allocation waits for all that the GPU is doing; a training step asks for the same sizes again and again. So a block
that dies goes into a list of its size class, and the next request of that class takes it. Everything that is computed runs on one
stream, in order: whoever gets a block next writes to it after whoever had it before has read it, so reuse waits for nothing.

Size classes are eighths of a power of two, so a block holds at most an eighth more than was asked (512 bytes for the smallest; above
1 MB classes are whole pages of 2 MB, in which the driver counts anyway).
"""
from __future__ import annotations

import gc
import threading
from collections import deque
from typing import Any

from .errors import OutOfMemory

SMALL_STEP, LARGE_STEP = 512, 2 << 20
LARGE_FROM = 1 << 20
POISON = 0xFF                              # four or eight such bytes are a NaN, in integers they are -1


def size_class(nbytes: int) -> int:
    """Bytes of the block that serves a request of `nbytes`."""
    step = max(SMALL_STEP if nbytes <= LARGE_FROM else LARGE_STEP, 1 << max(nbytes.bit_length() - 4, 0))
    return max(-(-nbytes // step), 1) * step


class Block:
    """`nbytes` bytes on the GPU at address `pointer`; the allocator gets them back when nothing refers to the block any more."""

    __slots__ = ("_home", "nbytes", "pointer", "size")

    def __init__(self, pointer: int, nbytes: int, size: int, home: deque[tuple[int, int, int]]) -> None:
        self.pointer, self.nbytes, self.size, self._home = pointer, nbytes, size, home

    def __del__(self) -> None:
        # May run inside any garbage collection, in any thread, so it takes no lock: to append to a deque needs none.
        self._home.append((self.pointer, self.nbytes, self.size))


class Allocator:
    """Blocks from a driver (`allocate`, `free`, `fill`, `memory`, `synchronize`), for one stream.

    With `debug`, no block is reused: each is an allocation of exactly its bytes, filled with 0xFF (NaN) when it is made and again before
    it is given back, so that compute-sanitizer sees what reads past an end or after the end, and a result shows what was never written.
    """

    def __init__(self, driver: Any, *, debug: bool = False) -> None:
        self._driver, self._debug = driver, debug
        self._lock = threading.Lock()
        self._dead: deque[tuple[int, int, int]] = deque()
        self._free: dict[int, list[int]] = {}
        self._in_use = self._cached = self._peak = 0
        self._pools: list[Allocator] = []
        self._keeps = False                                    # whether this is a pool whose blocks a graph may write to

    def pool(self) -> Allocator:
        """Memory of its own from the same driver, for what is recorded once and replayed: all of it stays there until `retire`.

        Its blocks are not this allocator's, so nothing that is computed between two replays lies where a replay writes.
        """
        made = Allocator(self._driver)
        made._keeps = True
        with self._lock:
            self._pools.append(made)
        return made

    def retire(self) -> None:
        """Of a pool: nothing is replayed any more; the allocator that it is of gives its memory back, once nobody holds any of it."""
        self._keeps = False

    def owns(self, block: Any) -> bool:
        """Whether a block came from here, and not from another pool, or another library."""
        return getattr(block, "_home", None) is self._dead

    def take(self, nbytes: int) -> Block:
        """A block of `nbytes` bytes, uninitialised. MemoryError says what was asked, is in use, was cached, and is free."""
        if nbytes < 0:
            raise ValueError(f"take: nbytes must be at least 0, got {nbytes}")
        size = max(nbytes, 1) if self._debug else size_class(nbytes)
        with self._lock:
            pointer = self._reused(size)
        if pointer is None:
            pointer = self._allocated(nbytes, size)
        if self._debug:
            self._driver.fill(pointer, POISON, size)
        with self._lock:
            self._in_use += nbytes
            self._peak = max(self._peak, self._in_use)
        return Block(pointer, nbytes, size, self._dead)

    def statistics(self) -> dict[str, int]:
        """{"in_use", "cached", "peak"} in bytes: asked for by the blocks alive, held for blocks to come, the most ever in use.

        With the pools' own (the peaks added up, though they need not have been at one time).
        """
        with self._lock:
            self._collect()
            pools = [pool.statistics() for pool in self._pools]
            own = {"in_use": self._in_use, "cached": self._cached, "peak": self._peak}
            return {name: count + sum(pool[name] for pool in pools) for name, count in own.items()}

    def reset_peak(self) -> None:
        """Count the peak from what is in use now."""
        with self._lock:
            self._collect()
            self._peak = self._in_use
            for pool in self._pools:
                pool.reset_peak()

    def release(self) -> None:
        """Give all that is cached back to the driver, after waiting for the GPU."""
        with self._lock:
            self._collect()
            self._release()

    def _allocated(self, nbytes: int, size: int) -> int:
        """From the driver; where it has no more, after a garbage collection and after the cache was given back."""
        try:
            return self._driver.allocate(size)
        except OutOfMemory:
            gc.collect()                                       # a tape is a web of cycles: arrays may be held by nothing but those
        with self._lock:
            pointer, cached = self._reused(size), 0 if self._keeps else self._cached
            if pointer is not None:
                return pointer
            if not self._keeps:
                self._release()
        try:
            return self._driver.allocate(size)
        except OutOfMemory:
            free, total = self._driver.memory()
            raise MemoryError(f"no memory on the GPU for an array of {nbytes} bytes: {self._in_use} bytes are in use, {cached} were cached "
                              f"and have been given back, {free} of {total} are free. Use a smaller batch, or keep less for backward "
                              f"(remat)") from None

    def _reused(self, size: int) -> int | None:
        """A cached block of this size, once those that died are cached too. Under the lock."""
        self._collect()
        found = self._free.get(size)
        if not found:
            return None
        self._cached -= size
        return found.pop()                                     # the last one back: its lines may still lie in the GPU's cache

    def _collect(self) -> None:
        """Put the blocks that died into the lists. Under the lock."""
        while self._dead:
            pointer, nbytes, size = self._dead.popleft()
            self._in_use -= nbytes
            if self._debug:
                self._driver.fill(pointer, POISON, size)
                self._driver.synchronize()
                self._driver.free(pointer)
            else:
                self._free.setdefault(size, []).append(pointer)
                self._cached += size

    def _release(self) -> None:
        """Give the lists' blocks back, and those of pools that retired, when nobody computes with them any more. Under the lock."""
        for pool in [pool for pool in self._pools if not pool._keeps]:
            pool.release()
            if not pool.statistics()["in_use"]:
                self._pools.remove(pool)
        if self._free:
            self._driver.synchronize()
        for pointers in self._free.values():
            for pointer in pointers:
                self._driver.free(pointer)
        self._free.clear()
        self._cached = 0


__all__ = ["Allocator", "Block", "size_class"]
