"""Writing files so that a kill, a power cut or a full disk leaves either the old file or the new one, whole.

Every call that touches the disk is one of the module `os`: the tests replace that module by one that fails, or kills, at a given call.
"""
from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

NEW = ".new"                                              # ends the name of what is being written beside
BINARY = getattr(os, "O_BINARY", 0)                       # Windows would otherwise turn line ends
CURES = {errno.ENOSPC: "Make room on that disk", errno.EDQUOT: "Make room: the quota is used up", errno.EROFS: "Make that disk writable",
         errno.EACCES: "Make that folder writable", errno.EPERM: "Make that folder writable"}


def write_whole(path: Path, data: bytes, *, keep: Path | None = None) -> None:
    """Put `data` at `path`: written beside, flushed to the disk, renamed. With `keep`, the file that was there gets that name too.

    There is no moment without a whole file at `path`, once there was one. OSError names the file and the reason; then the old file
    stands (or the new one, where only its name could not be flushed to the disk), and what was begun is removed.
    """
    beside = path.with_name(path.name + NEW)
    try:
        _write(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o666), data)
        if keep is not None and path.exists():
            _name_too(path, keep)
        os.replace(beside, path)
        sync_folder(path.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise _explained(problem, path) from None


def mend(path: Path, data: bytes) -> None:
    """Write a file anew where it is not what it should be. OSError as `write_whole`."""
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file and flush it to the disk. OSError names the file and the reason; then nothing has been added."""
    size = None
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | BINARY, 0o666)
        size = os.fstat(handle).st_size
        _write(handle, (line + "\n").encode())
    except OSError as problem:
        if size is not None:
            with contextlib.suppress(OSError):
                os.truncate(path, size)
        raise _explained(problem, path) from None


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a power cut, where the system can flush folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:                               # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):            # what file systems that cannot do it say
            raise
    finally:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    """All of the data, in as many writes as the system makes of it (a disk that is nearly full takes a part), and flush, and close."""
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest):]
        os.fsync(handle)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(handle)
        raise
    os.close(handle)                                      # a network disk may only now say that it is full


def _name_too(path: Path, name: Path) -> None:
    """Give a file a second name, in place of whatever had it; where a file system has no second names, the first goes."""
    beside = name.with_name(name.name + NEW)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        os.link(path, beside)
    except OSError:
        os.replace(path, name)
        return
    try:
        os.replace(beside, name)
    finally:
        with contextlib.suppress(FileNotFoundError):      # it is still there where both were names of one file already
            os.unlink(beside)


def _explained(problem: OSError, path: Path) -> OSError:
    if isinstance(problem, FileNotFoundError):
        text = f"cannot write {path}: the folder {path.parent} is not there any more"
    else:
        cure = CURES.get(problem.errno)
        text = f"cannot write {path}: {problem.strerror or problem}. What was saved before is still there{cure and f'. {cure}' or ''}"
    told = type(problem)(text)
    told.errno = problem.errno
    return told
