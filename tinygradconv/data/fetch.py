"""Files of a data set: found in the root folder, or downloaded into it and checked.

Files that are there are taken as they are (their readers are strict); only a download is compared with its size and checksum.
Downloads go through pooch, of the [data] extra: into NAME.part beside the final name, renamed when the checksum is right. A
download that was cut off goes on where it ended, whichever of the addresses answers then.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

TIMEOUT = (5, 30)                # seconds to connect, and between two pieces of a file
ATTEMPTS = 5                     # at one address, as long as each brings something
PIECE = 1 << 18                  # bytes that are written at a time: what a kill costs at most


@dataclass(frozen=True)
class Remote:
    """Where the files of a data set come from.

    folder     under the root folder
    addresses  what stands before each name, the official place first, then mirrors of the same bytes
    files      by name: (number of bytes, MD5 sum in hexadecimal)
    """

    folder: str
    addresses: tuple[str, ...]
    files: Mapping[str, tuple[int, str]]


def fetch(root: Path, remote: Remote) -> list[Path]:
    """The files of a data set in ROOT/folder, in the order of `remote.files`; missing ones are downloaded.

    FileNotFoundError says where to put files that cannot be downloaded, and what to install. ValueError: a download with a wrong checksum.
    """
    folder = root / remote.folder
    missing = [name for name in remote.files if not (folder / name).is_file()]
    if missing:
        _download(folder, remote, missing)
    return [folder / name for name in remote.files]


def _download(folder: Path, remote: Remote, names: list[str]) -> None:
    wanted = f"{remote.folder}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} not in {folder}"
    by_hand = f"put the files from {remote.addresses[0]} there, or name the folder that has {remote.folder}/ by --data-dir or TGC_DATA"
    try:
        import pooch  # noqa: F401  (asked for here, so that its absence is said before anything is tried)
    except ImportError:
        raise FileNotFoundError(f"{wanted}. To download them, pip install 'tinygradconv[data]' (pooch); or {by_hand}") from None
    for name in names:
        damaged, failed = [], []
        for address in remote.addresses:
            try:
                _retrieve(address + name, folder / name, *remote.files[name])
                break
            except ValueError as problem:                  # a wrong checksum, or a file that does not end where it should
                damaged.append(f"the download of {address + name} is damaged ({_short(problem)})")
            except OSError as problem:                     # no network, no such file there, a full or unwritable disk
                failed.append(f"downloading {address + name} failed ({type(problem).__name__}: {_short(problem)})")
        else:
            if damaged:
                raise ValueError(f"{remote.folder}: {'; '.join(damaged + failed)}. Try again, or {by_hand}")
            raise FileNotFoundError(f"{wanted}, and {'; '.join(failed)}. Try again"
                                    f"{_so_far(folder / name, remote.files[name][0])}, or {by_hand}")


def _retrieve(url: str, path: Path, size: int, md5: str) -> None:
    """One file from one address, checked by pooch. OSError: it cannot be had from there; ValueError: it is not what it should be."""
    import pooch
    for attempt in range(1, ATTEMPTS + 1):
        before = _bytes_of(_part(path))
        try:
            pooch.retrieve(url, known_hash="md5:" + md5, fname=path.name, path=path.parent, downloader=Resuming(_part(path), size))
            return
        except ValueError:
            # The beginning that was kept may have been another file's: once, all of it comes anew.
            if not before or attempt == ATTEMPTS:
                raise
        except OSError:
            if _bytes_of(_part(path)) <= before or attempt == ATTEMPTS:
                raise


@dataclass(frozen=True)
class Resuming:
    """A downloader for pooch: what has come so far stays in the file `part`, and only the rest is asked for; `size` bytes in all."""

    part: Path
    size: int

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """The file at `url`, moved to `output_file` when it is whole. OSError as requests raises it; ValueError: more bytes than `size`."""
        try:
            with open(self.part, "ab") as file:
                _alone(file)
                self._fill(url, file)
        finally:
            if not _bytes_of(self.part):
                self.part.unlink(missing_ok=True)
        os.replace(self.part, output_file)

    def _fill(self, url: str, file: IO[bytes]) -> None:
        import requests
        from tqdm import tqdm
        have = file.tell()
        if have == self.size:
            return
        if have > self.size:                               # no beginning of this file
            file.truncate(have := 0)
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            if have and not (response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
                file.truncate(have := 0)                   # a server that knows no ranges sends the whole file
                if response.status_code == 206:
                    raise OSError(f"it answered with the range {response.headers.get('Content-Range')!r}, which was not asked for")
            with tqdm(total=self.size, initial=have, unit="B", unit_scale=True, desc=self.part.stem, disable=None) as bar:
                for piece in response.iter_content(PIECE):
                    have += len(piece)
                    if have > self.size:
                        file.truncate(0)
                        raise ValueError(f"expected {self.size} bytes, and more came")
                    file.write(piece)
                    bar.update(len(piece))
        if have < self.size:
            raise OSError(f"it ended after {have} of {self.size} bytes")


def _alone(file: IO[bytes]) -> None:
    """OSError where another process is writing to this file; the lock ends with the file, even by a kill."""
    try:
        import fcntl
    except ImportError:                                    # Windows: two downloads at once end in a wrong checksum, nothing worse
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(f"another process is downloading to {file.name}; wait for it") from None


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _bytes_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _so_far(path: Path, size: int) -> str:
    have = _bytes_of(_part(path))
    return f" (it goes on after the {have} of {size} bytes that have come)" if have else ""


def _short(problem: Exception) -> str:
    """The reason in one line, without the list of attempts that HTTP libraries wrap around it."""
    reason = getattr(problem.args[0], "reason", None) if problem.args else None
    text = " ".join(str(reason or problem).split())
    return text if len(text) <= 200 else text[:200] + "…"
