"""Writing files so that a kill, a power cut or a full disk leaves either the old file or the new one, whole."""
from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, keep: Path | None = None) -> None:
    """Put `data` at `path`: written beside, flushed to the disk, renamed. With `keep`, the file that was there gets that name.

    OSError names the file and the reason; then the old file stands, and what was begun is removed.
    """
    beside = path.with_name(path.name + ".new")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise _explained(problem, path) from None


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file in one write, and flush it to the disk. OSError names the file and the reason."""
    try:
        with open(path, "ab", buffering=0) as file:
            data = (line + "\n").encode()
            if file.write(data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(file.fileno())
    except OSError as problem:
        raise _explained(problem, path) from None


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, where the system can open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(problem: OSError, path: Path) -> OSError:
    text = f"cannot write {path}: {problem.strerror or problem}. What was saved before is still there"
    return type(problem)(text)
