"""Ctrl-C between two steps instead of in the middle of one."""
from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from tinygradconv.parallel import Group

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE = 1.0                 # seconds in which a second signal is the first: mpirun passes on a Ctrl-C that the terminal has sent to all


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, and its snapshot is saved; `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stop:
    """`with Stop() as stop:` lets SIGINT and SIGTERM only be noted; a second one is a KeyboardInterrupt at once.

    `asked` says whether this process was sent one. `number` is the signal, or 0, as all ranks of the group have agreed in `look()`, so
    that they stop at the same step, whichever of them was asked. In a thread other than the main one Python takes no handlers, and
    nothing changes.
    """

    def __init__(self, group: Group | None = None) -> None:
        self.group = Group() if group is None else group
        self.number = self._noted = 0
        self._when = 0.0

    def __bool__(self) -> bool:
        return self.number != 0

    @property
    def asked(self) -> bool:
        """Whether this process was sent a signal."""
        return self._noted != 0

    def look(self) -> bool:
        """Whether any rank was asked to stop; every rank asks at the same step."""
        self.number = self.group.largest(self._noted)
        return bool(self)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._noted and (self.group.size == 1 or time.monotonic() - self._when > ONE):
            raise KeyboardInterrupt
        self._noted, self._when = number, time.monotonic()

    def __enter__(self) -> Stop:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
