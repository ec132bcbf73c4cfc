"""What is wrong with a kernel, by name; and where in it."""
from __future__ import annotations

import linecache
import sys
import types
from pathlib import Path

MARK = "__emulated__"                     # a name among the globals of every emulated function: so its frames are found on the stack


class KernelFault(RuntimeError):
    """A kernel did what a GPU must not be asked to do. The message says which thread, where, what, and the cure."""


class InvalidAddress(KernelFault):
    """An index outside an array, or an address that is not a multiple of what is read there."""


class Uninitialised(KernelFault):
    """Shared or local memory was read before anything was written there."""


class Race(KernelFault):
    """Two threads touched one cell, at least one of them writing, and no barrier says who comes first."""


class LostCopy(KernelFault):
    """A cell was touched while cp.async was still filling it: a wait is missing."""


class Stuck(KernelFault):
    """Threads wait for others that will never come: a barrier, or a warp's instruction, that not all of them reach."""


Place = tuple[types.CodeType, int]        # a line of a kernel


def line_of(at: Place) -> str:
    """"line 12 (s[i] = x)"."""
    text = linecache.getline(at[0].co_filename, at[1]).strip()
    return f"line {at[1]}" + (f" ({text})" if text else "")


def place() -> Place:
    """The line of emulated code that is being run now; the innermost, so in a device function, the line there."""
    frame = sys._getframe(1)
    while MARK not in frame.f_globals:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def describe(label: str, block: tuple[int, int, int], thread: int, at: Place) -> str:
    """"matmul, block (0, 1, 0), thread 37, cuda.py line 12 (s[i] = x)": where a fault happened."""
    return f"{label}, block {tuple(block)}, thread {thread}, {Path(at[0].co_filename).name} {line_of(at)}"
