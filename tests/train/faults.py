"""Disks that fail: a stand-in for the module `os` in interop/files.py, through which every write of a run goes."""
from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any

from tinygradconv.interop import files

CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "truncate", "close")          # those that touch the disk


class Disk:
    """Counts the calls that touch the disk, and does something instead of the `at`-th of them: of a write, after half of it.

    With `lasting` it is also done instead of all calls after it that need room: the disk stays full. Nothing is flushed: what a killed
    process has written is there all the same, and waiting for the real disk would be most of a test's time.
    """

    def __init__(self, at: int = 0, instead: Callable[[str], None] = lambda name: None, *, lasting: bool = False) -> None:
        self.at, self.instead, self.lasting, self.calls = at, instead, lasting, []

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        return partial(self._call, name, function) if name in CALLS else function

    def _call(self, name: str, function: Callable, *arguments: Any) -> Any:
        self.calls.append(name)
        grows = name in ("write", "link") or name == "open" and arguments[1] & os.O_CREAT
        if len(self.calls) == self.at or (self.lasting and grows and len(self.calls) > self.at > 0):
            if name == "write":
                function(arguments[0], arguments[1][:len(arguments[1]) // 2])
            elif name == "close":                          # a file that cannot be closed is closed all the same
                function(*arguments)
            self.instead(name)
        return None if name == "fsync" else function(*arguments)


@contextmanager
def disk(*arguments: Any, **options: Any):
    """A context in which runs write to such a disk."""
    it = Disk(*arguments, **options)
    try:
        files.os = it
        yield it
    finally:
        files.os = os


def failing(number: int) -> Callable[[str], None]:
    """Raises the OSError of this number."""
    def fail(name: str) -> None:
        raise OSError(number, os.strerror(number))
    return fail
