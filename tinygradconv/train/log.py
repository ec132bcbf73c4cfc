"""log.csv: what a run has seen, one row at a time, each row written whole before the snapshot that counts on it."""
from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tinygradconv.interop.files import append_line, write_whole

COLUMNS = ("epoch", "step", "rate", "loss", "train_accuracy", "accuracy", "seconds")
HEAD = ",".join(COLUMNS) + "\n"
ROW = re.compile(rf"\d+,\d+(,[-+.\deinfa]*){{{len(COLUMNS) - 2}}}", re.ASCII)            # `inf` and `nan` too


class Log:
    """The rows of a run: epoch, step (both done so far), rate, mean loss and training accuracy in % since the row before, test accuracy
    in %, seconds.

    A row within an epoch has no test accuracy. `text` is what has been written. A kill may leave a row half written, or rows that no
    snapshot counts on yet, and disks spoil bytes; `restore(text)` mends all of it, as every snapshot holds the text.
    `writing()` is entered around whatever is written.
    """

    def __init__(self, path: Path, writing: Callable[[], AbstractContextManager] = nullcontext) -> None:
        self.path, self._writing, self.text = path, writing, HEAD

    def start(self) -> None:
        """A new file with only the names of the columns."""
        self.restore(HEAD)

    def add(self, *values: object) -> None:
        """One more row."""
        line = ",".join(map(str, values))
        with self._writing():
            append_line(self.path, line)
        self.text += line + "\n"

    def rows(self) -> list[dict[str, str]]:
        """The rows by column; a last one that has no end was cut off, and is left out. ValueError: damaged, or no log of a run."""
        text = self.path.read_bytes().decode("utf-8", "replace")
        lines = text[:text.rfind("\n") + 1].split("\n")[:-1]
        if lines and lines[0] + "\n" != HEAD:
            raise ValueError(f"{self.path} is not the log of a run: its first line must be {HEAD[:-1]!r}")
        for number, line in enumerate(lines[1:], 2):
            if not ROW.fullmatch(line):
                raise ValueError(f"{self.path}, line {number}, is damaged: expected {len(COLUMNS)} numbers, got {line!r:.80}")
        return [dict(zip(COLUMNS, line.split(","))) for line in lines[1:]]

    def begins_with(self, text: str) -> bool:
        """Whether the file is this text, or goes on after it."""
        return self.path.is_file() and self.path.read_bytes().startswith(text.encode())

    def restore(self, text: str) -> bool:
        """Make the file this text. Whether nothing of it had been lost: False where other bytes stood in its place."""
        whole, self.text = self.begins_with(text), text
        if not whole or self.path.stat().st_size != len(text.encode()):
            with self._writing():
                write_whole(self.path, text.encode())
        return whole
