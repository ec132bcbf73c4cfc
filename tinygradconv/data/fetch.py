"""Files of a data set: found in the root folder, or downloaded into it and checked.

Files that are there are taken as they are (their readers are strict); only a download is compared with its checksum.
Downloads go through pooch, of the [data] extra: beside their final name first, and renamed when the checksum is right.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = (5, 30)                # seconds to connect, and between two pieces of a file


@dataclass(frozen=True)
class Remote:
    """Where the files of a data set come from: `folder` under the root, the address before each name, and MD5 sums by name."""

    folder: str
    address: str
    checksums: Mapping[str, str]


def fetch(root: Path, remote: Remote) -> list[Path]:
    """The files of a data set in ROOT/folder, in the order of `remote.checksums`; missing ones are downloaded.

    FileNotFoundError says where to put files that cannot be downloaded, and what to install. ValueError: a download with a wrong checksum.
    """
    folder = root / remote.folder
    missing = [name for name in remote.checksums if not (folder / name).is_file()]
    if missing:
        _download(folder, remote, missing)
    return [folder / name for name in remote.checksums]


def _download(folder: Path, remote: Remote, names: list[str]) -> None:
    wanted = f"{remote.folder}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} not in {folder}"
    by_hand = f"put the files from {remote.address} there, or name the folder that has {remote.folder}/ by --data-dir or TGC_DATA"
    try:
        import pooch
    except ImportError:
        raise FileNotFoundError(f"{wanted}. To download them, pip install 'tinygradconv[data]' (pooch); or {by_hand}") from None
    # pooch says on standard error what it downloads; each address of a host that does not answer is given up after seconds.
    download = pooch.HTTPDownloader(timeout=TIMEOUT)
    for name in names:
        try:
            pooch.retrieve(remote.address + name, known_hash="md5:" + remote.checksums[name], fname=name, path=folder, downloader=download)
        except ValueError as problem:                  # pooch says so of a checksum
            raise ValueError(f"{remote.folder}: the download of {remote.address + name} is damaged ({problem}). "
                             f"Try again, or {by_hand}") from None
        except OSError as problem:                     # no network, no such file there, a full or unwritable disk
            raise FileNotFoundError(f"{wanted}, and downloading {remote.address + name} failed "
                                    f"({type(problem).__name__}: {_short(problem)}). Try again, or {by_hand}") from None


def _short(problem: Exception) -> str:
    """The reason in one line, without the list of attempts that HTTP libraries wrap around it."""
    reason = getattr(problem.args[0], "reason", None) if problem.args else None
    text = " ".join(str(reason or problem).split())
    return text if len(text) <= 200 else text[:200] + "…"
