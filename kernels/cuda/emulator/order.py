"""Which accesses of one cell are ordered, and which race.

Two accesses are ordered when one thread makes both; when a barrier of their block lies between them; or, within a warp, a syncwarp. Else
they race if one of them writes, also where the emulator happened to run them in a good order. Each cell remembers who wrote it last, and
which threads have read it since.
"""
from __future__ import annotations

from typing import Any, NoReturn

from .faults import LostCopy, Place, Race, Uninitialised, line_of


class Stamp:
    """When a thread did something: which barriers, syncwarps of its warp and fences of its own lay behind it. One object per interval."""

    __slots__ = ("barriers", "block", "fences", "number", "syncs", "thread", "warp")

    def __init__(self, thread: Any) -> None:
        self.thread, self.number, self.warp, self.block = thread, thread.number, thread.warp, thread.block
        self.barriers, self.syncs, self.fences = thread.block.barriers, thread.syncs, len(thread.fenced)

    def before(self, other: Stamp) -> bool:
        """Whether what was done at this time surely came before what is done at the other."""
        if self is other or self.thread is other.thread:
            return True
        if self.block is not other.block:
            return False
        return self.barriers != other.barriers or (self.warp == other.warp and self.syncs != other.syncs)


class Order:
    """The accesses of all cells of one memory; a cell is a number. `initialised`: it may be read before a kernel writes it."""

    def __init__(self, name: str, initialised: bool) -> None:
        self.name, self.initialised = name, initialised
        self.writer: dict[Any, tuple[Stamp, Place]] = {}
        self.readers: dict[Any, dict[Any, tuple[Stamp, Place]]] = {}
        self.flying: dict[Any, tuple[Stamp, Place]] = {}                 # cells that cp.async is filling

    def read(self, cells: range, stamp: Stamp, index: int, each: int, at: Place) -> None:
        """Note that a thread reads cells, `each` of which make an element, from `index` on, at a line of the kernel.

        KernelFault where it must not. This is what an emulation spends its time on, so it asks as little as can be.
        """
        flying, writers, readers = self.flying, self.writer, self.readers
        block, barriers, thread, entry = stamp.block, stamp.barriers, stamp.thread, (stamp, at)
        for cell in cells:
            if flying and cell in flying:
                self._lost(cell, stamp, index + cells.index(cell) // each, "reads")
            last = writers.get(cell)
            if last is not None:
                earlier = last[0]                              # the first question is what `before` answers most often
                if not (earlier.barriers != barriers and earlier.block is block) and not earlier.before(stamp):
                    self._race(stamp, index + cells.index(cell) // each, "reads", last, "writes")
            elif not self.initialised:
                thread.fail(Uninitialised, f"reads {self.name}[{index + cells.index(cell) // each}], which no thread has written so far. "
                                           f"Is a cuda.syncthreads() missing before it, or the writing itself?")
            known = readers.get(cell)
            if known is None:
                readers[cell] = {thread: entry}
            else:
                known[thread] = entry

    def write(self, cells: range, stamp: Stamp, index: int, each: int, at: Place) -> None:
        """Note that a thread writes cells; KernelFault where it must not."""
        flying, writers, readers = self.flying, self.writer, self.readers
        block, barriers, entry = stamp.block, stamp.barriers, (stamp, at)
        for cell in cells:
            if flying and cell in flying:
                self._lost(cell, stamp, index + cells.index(cell) // each, "writes")
            last = writers.get(cell)
            if last is not None and not last[0].before(stamp):
                self._race(stamp, index + cells.index(cell) // each, "writes", last, "writes")
            known = readers.pop(cell, None)
            if known is not None:
                for other in known.values():
                    earlier = other[0]
                    if not (earlier.barriers != barriers and earlier.block is block) and not earlier.before(stamp):
                        self._race(stamp, index + cells.index(cell) // each, "writes", other, "reads")
            writers[cell] = entry

    def begin_copy(self, cells: range, stamp: Stamp, index: int, each: int, at: Place) -> None:
        """Note that a thread starts a copy into cells: a write that has not landed."""
        self.write(cells, stamp, index, each, at)
        for cell in cells:
            self.flying[cell] = self.writer[cell]

    def end_copy(self, cells: range, stamp: Stamp) -> None:
        """Note that the copy has landed: written now, by the thread that waited for it."""
        for cell in cells:
            started = self.flying.pop(cell)
            self.writer[cell] = stamp, started[1]

    def _race(self, stamp: Stamp, index: int, what: str, other: tuple[Stamp, Place], did: str) -> NoReturn:
        there = "" if other[0].block is stamp.block else f" of block {tuple(other[0].block.position)}"
        cure = ("No barrier lies between: put cuda.syncthreads() there" if not there else
                "Blocks run in any order: let one block own the cell")
        stamp.thread.fail(Race, f"{what} {self.name}[{index}], which thread {other[0].number}{there} {did} at {line_of(other[1])}. {cure}")

    def _lost(self, cell: Any, stamp: Stamp, index: int, what: str) -> NoReturn:
        issuer, at = self.flying[cell]
        stamp.thread.fail(LostCopy, f"{what} {self.name}[{index}], which the cp_async of thread {issuer.number} at {line_of(at)} may "
                                    f"still be filling. That thread must ptx.cp_wait for it first, then all of them meet at a barrier")
