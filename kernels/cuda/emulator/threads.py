"""Threads, warps and blocks: every thread is a greenlet that runs until it must wait; the block then sees who can go on.

The threads of a block run one after another, in order of their numbers. That is one order of the many that a GPU may choose, and enough:
order.py finds what would come out otherwise in another.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np
from greenlet import greenlet

from . import warpgroups
from .faults import KernelFault, Place, Stuck, describe, line_of, place
from .order import Stamp
from .warpgroups import Warpgroup

WARP = 32
BEYOND_A_WARP = ("syncthreads", *warpgroups.TOGETHER)


class Wait(NamedTuple):
    """What a thread waits for: "syncthreads", or an instruction that its warp executes as one, with this thread's part of the operands."""

    word: str
    operands: Any
    at: Place


class Thread(greenlet):
    """One CUDA thread."""

    def __init__(self, block: Block, number: int, run: Callable[[], None]) -> None:
        super().__init__(self._run)
        self.block, self.number, self.body = block, number, run
        self.warp, self.lane = divmod(number, WARP)
        self.syncs = 0                                        # syncwarps behind it
        self.ordered = 0                                      # wgmma_fences behind it
        self.fenced: list[int] = []                           # the barriers that lay behind it at each fence_async
        self.arrays = 0                                       # shared arrays that it has declared
        self.started: list[Any] = []                          # copies since the last commit
        self.groups: list[list[Any]] = []                     # committed groups of copies that have not landed
        self.stamp = Stamp(self)
        self.waits: Wait | None = None

    def _run(self) -> None:
        with np.errstate(all="ignore"):                       # infinities and NaN come out silently, as on the GPU
            watch = self.block.launch.watch
            try:
                if watch is not None:
                    watch.begin(self)
                self.body()
            except KernelFault:
                raise
            except Exception as problem:
                problem.add_note(f"in {self.block.launch.kernel.label}, block {tuple(self.block.position)}, thread {self.number}")
                raise
            finally:
                if watch is not None:
                    watch.end(self)

    def wait(self, word: str, operands: Any = None) -> Any:
        """Let others run until this can go on; returns this thread's part of the result."""
        watch = self.block.launch.watch
        self.waits = Wait(word, operands, place())
        if watch is not None:
            watch.pause(self)
        result = self.parent.switch()
        if watch is not None:
            watch.resume(self)
        return result

    def fail(self, fault: type[Exception], what: str) -> NoReturn:
        """Raise a fault of this thread, at the line that it is in."""
        at = place() if self.waits is None else self.waits.at
        raise fault(f"{describe(self.block.launch.kernel.label, self.block.position, self.number, at)}: {what}")


class Block:
    """The threads of one block, their shared memory, and how many barriers they have passed. `body` is the kernel with its arguments."""

    def __init__(self, launch: Any, position: tuple[int, int, int], body: Callable[[], None]) -> None:
        self.launch, self.position = launch, position
        self.barriers = 0
        self.shared: list[Any] = []
        self.dynamic: Any = None
        self.threads = [Thread(self, number, body) for number in range(launch.kernel.threads)]
        self.warps = [self.threads[start:start + WARP] for start in range(0, len(self.threads), WARP)]
        self.warpgroups = [Warpgroup(self.threads[start:start + warpgroups.THREADS])
                           for start in range(0, len(self.threads), warpgroups.THREADS)]

    def run(self) -> None:
        """Run all threads to their ends; Stuck if some wait for what will not come."""
        ready = [(thread, None) for thread in self.threads]
        while ready:
            for thread, result in ready:
                self.launch.thread, thread.waits = thread, None
                thread.switch(result) if thread else thread.switch()     # a thread that has begun is true, and takes its result
            ready = self._warps_that_can_go_on() or self._warpgroups_that_can_go_on() or self._all_at_the_barrier()

    def _warps_that_can_go_on(self) -> list[tuple[Thread, Any]]:
        """The threads whose warp has come to one instruction as a whole, with their results."""
        ready: list[tuple[Thread, Any]] = []
        for warp in self.warps:
            first = next((thread for thread in warp if thread.waits and thread.waits.word not in BEYOND_A_WARP), None)
            if first is None:
                continue
            self._agree(first, warp)
            if len(warp) < WARP:
                self._stuck(first, f"is in a warp of only {len(warp)} threads. Give the block a multiple of {WARP}")
            if first.waits.word == "syncwarp":
                for thread in warp:
                    thread.syncs += 1
                    thread.stamp = Stamp(thread)
            results = self.launch.together[first.waits.word]([thread.waits.operands for thread in warp])
            ready += zip(warp, results)
        return ready

    def _warpgroups_that_can_go_on(self) -> list[tuple[Thread, Any]]:
        """The same for warpgroups, once no warp can go on by itself."""
        ready: list[tuple[Thread, Any]] = []
        for group in self.warpgroups:
            first = next((thread for thread in group.threads if thread.waits and thread.waits.word in warpgroups.TOGETHER), None)
            if first is None:
                continue
            self._agree(first, group.threads)
            if len(group.threads) < warpgroups.THREADS:
                self._stuck(first, f"is in a warpgroup of only {len(group.threads)} threads. Give the block a multiple of "
                                   f"{warpgroups.THREADS}")
            results = warpgroups.TOGETHER[first.waits.word](group, [thread.waits.operands for thread in group.threads])
            ready += zip(group.threads, results)
        return ready

    def _all_at_the_barrier(self) -> list[tuple[Thread, Any]]:
        """All threads, once all of them wait at one barrier; none, when all have ended."""
        first = next((thread for thread in self.threads if thread.waits), None)
        if first is None:
            return []
        self._agree(first, self.threads)
        self.barriers += 1
        for thread in self.threads:
            thread.stamp = Stamp(thread)
        return [(thread, None) for thread in self.threads]

    def _agree(self, first: Thread, others: list[Thread]) -> None:
        """Stuck unless all wait where the first one waits."""
        for other in others:
            if other.waits is None:
                self._stuck(first, f"waits for thread {other.number}, which has returned. Let every thread come to it, and put the "
                                   f"condition around the work instead")
            if other.waits.word != first.waits.word or other.waits.at != first.waits.at:
                self._stuck(first, f"waits for thread {other.number}, which waits in {other.waits.word} at {line_of(other.waits.at)}")

    def _stuck(self, thread: Thread, why: str) -> NoReturn:
        here = describe(self.launch.kernel.label, self.position, thread.number, thread.waits.at)
        raise Stuck(f"{here}: {thread.waits.word} {why}")
