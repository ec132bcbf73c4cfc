"""Members of a .tar.gz, read one after the other into memory: nothing is unpacked, so nothing can be written anywhere.

An archive is not to be trusted: it may name absolute paths or links, claim any size, or unpack to far more than it weighs. It is
read as a stream that ends after `most_bytes`, by the standard library's tarfile, and only members with expected names are looked at.
"""
from __future__ import annotations

import gzip
import posixpath
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20
MOST_MEMBERS = 1000
AGAIN = "Delete the file and fetch it again"


class _Bounded:
    """A file of which no more than `most` bytes can be read: what a small archive unpacks to must not fill the memory."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.most, self.count = file, most, 0

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.count += len(data)
        if self.count > self.most:
            raise _Refused(f"it unpacks to more than the {self.most} bytes that are expected at most")
        return data


class _Refused(ValueError):
    """What is wrong with an archive, said without its name."""


def members(path: Path, names: Collection[str], most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of the members `names` of the .tar.gz at `path`, in the archive's order; others are passed over.

    ValueError names the archive: not gzip, not tar, truncated, larger than `most_bytes` unpacked, members that are missing, twice there,
    links or devices, or outside the archive's own folder.
    """
    missing = dict.fromkeys(names)
    try:
        with gzip.open(path, "rb") as unzipped:
            stream = _Bounded(unzipped, most_bytes)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK, errorlevel=2) as tar:
                for count, member in enumerate(tar, start=1):
                    name = _checked_name(member, count)
                    if name in names:
                        if name not in missing:
                            raise _Refused(f"{name} is in it twice")
                        del missing[name]
                        yield name, _contents(tar, member)
            while stream.read(BLOCK):                      # to the end, where gzip compares its checksum
                pass
    except _Refused as problem:
        raise ValueError(f"{path}: {problem}. {AGAIN}") from None
    except EOFError:
        raise ValueError(f"{path} is truncated: the compressed data end too early. {AGAIN}") from None
    except (gzip.BadGzipFile, zlib.error) as problem:
        raise ValueError(f"{path} is not a sound gzip file ({problem}). {AGAIN}") from None
    except (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError) as problem:      # the last four: damaged headers
        raise ValueError(f"{path} is not a sound tar archive ({problem}). {AGAIN}") from None
    if missing:
        raise ValueError(f"{path}: the archive lacks {', '.join(missing)}. {AGAIN}")


def _checked_name(member: tarfile.TarInfo, count: int) -> str:
    """The member's name without ./ and //, if it is a file or a folder inside the archive."""
    if count > MOST_MEMBERS:
        raise _Refused(f"it has more than {MOST_MEMBERS} members")
    if member.name.startswith(("/", "\\")) or ".." in member.name.replace("\\", "/").split("/"):
        raise _Refused(f"{member.name!r} lies outside the archive's own folder, which no official archive has")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise _Refused(f"{member.name!r} is a link or a special file; an official archive has only files and folders")
    return posixpath.normpath(member.name)


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    data = tar.extractfile(member).read()
    if len(data) != member.size:
        raise _Refused(f"{member.name} is truncated: the archive claims {member.size} bytes for it and has {len(data)}")
    return data
