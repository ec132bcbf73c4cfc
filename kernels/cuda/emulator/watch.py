"""One thread of a kernel, line by line: what it did, and what each line changed."""
from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Callable
from typing import Any

from .faults import MARK
from .memory import LocalArray, Pointer


class Watch:
    """Prints what one thread does: each line before the next begins, with the variables that it changed.

    thread  the thread's number in its block
    block   the block's position in the grid
    write   takes each line of text; print by default
    """

    def __init__(self, thread: int = 0, block: tuple[int, ...] = (0, 0, 0), write: Callable[[str], Any] = print) -> None:
        self.number, self.block, self.write = thread, (*block, 0, 0)[:3], write
        self._seen: dict[int, dict[str, str]] = {}
        self._line: tuple[types.FrameType, int] | None = None
        self._before: Any = None                               # a tracer that was there before: a debugger's, say

    def begin(self, thread: Any) -> None:
        """A thread begins."""
        if self._chosen(thread):
            self.write(f"{thread.block.launch.kernel.label}, block {tuple(self.block)}, thread {self.number}")
            self._before = sys.gettrace()
            sys.settrace(self._trace)

    def end(self, thread: Any) -> None:
        """A thread has ended."""
        if self._chosen(thread):
            sys.settrace(self._before)

    def pause(self, thread: Any) -> None:
        """A thread lets others run."""
        if self._chosen(thread):
            sys.settrace(self._before)
            self.write(f"      waits: {thread.waits.word}")

    def resume(self, thread: Any) -> None:
        """A thread goes on."""
        if self._chosen(thread):
            sys.settrace(self._trace)

    def _chosen(self, thread: Any) -> bool:
        return thread.number == self.number and thread.block.position == self.block

    def _trace(self, frame: types.FrameType, event: str, _: Any) -> Any:
        if MARK not in frame.f_globals:
            return None                                        # the emulator's own work
        if event in ("line", "return"):
            self._finish()
        if event == "line":
            self._line = frame, frame.f_lineno
        return self._trace

    def _finish(self) -> None:
        """Write the line that has just been done."""
        if self._line is None:
            return
        frame, number = self._line
        self._line = None
        now = {name: _text(value) for name, value in frame.f_locals.items()}
        before = self._seen.get(id(frame), {})
        changed = ", ".join(f"{name} = {value}" for name, value in now.items() if before.get(name) != value)
        self._seen[id(frame)] = now
        text = linecache.getline(frame.f_code.co_filename, number).split("  #")[0].rstrip()          # without its comment
        self.write(f"{number:5d} {text:60s} {changed}".rstrip())


def _text(value: Any) -> str:
    """A value in few characters."""
    if isinstance(value, Pointer):
        return value.name
    if isinstance(value, LocalArray):                          # what has been written of it
        shown = ["·" if cell is None else f"{cell:.6g}" for cell in value.cells[:8]]
        return f"[{', '.join(shown)}{', …' if len(value.cells) > 8 else ''}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    return f"{value:.6g}" if isinstance(value, float) or hasattr(value, "dtype") else repr(value)
