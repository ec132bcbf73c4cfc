"""A run's folder: what was asked for, what was seen, the weights, and everything needed to go on.

    config.json            model, data, recipe, seed, …, and a checksum: written before step 1 and never again
    log.csv                see log.py
    last.safetensors       weights and buffers, nothing else; best.safetensors: those of the epoch with the best test accuracy
    state.safetensors      see state.py; all the files above can be written again from it, but for best.safetensors
    state.previous.safetensors   the one before
    state.json             what state.safetensors says besides its arrays, for people to read

Every file is written beside and renamed, and a changed byte is noticed. state.safetensors alone decides where a run goes on, so there is
no moment at which files disagree: best and last are written before it, and a run that goes on from an older state writes them again, with
the same bytes. Nothing is ever unpickled.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygradconv.interop import safetensors
from tinygradconv.interop.files import NEW, mend, sync_folder, write_whole

from . import config as config_json
from .log import Log
from .state import STATES, Snapshot, State, newest

__all__ = ["Run", "free_folder"]


class Run:
    """The folder of one run. `Run.create` begins one, `Run.open` finds one; a lock keeps a second process from writing to it."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.config = folder, config
        self.log = Log(folder / "log.csv", self._writing)
        self._best = ""                                    # the checksum of best.safetensors
        self._lock: int | None = None

    @classmethod
    def create(cls, folder: str | os.PathLike, config: Mapping[str, Any]) -> Run:
        """A new run in a new or empty folder, its config.json written. FileExistsError: it is not empty; OSError: it cannot be written."""
        folder = Path(folder)
        try:
            taken = _taken(folder)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise type(problem)(f"cannot make the folder {folder}: {problem.strerror or problem}. Name another one by --out") from None
        run = cls(folder, config_json.settled(config))
        if not taken:
            run.lock()
        if taken or _taken(folder):                        # asked again: before it was locked, another process may have begun a run here
            run.close()
            is_run = (folder / "config.json").exists()
            what = f"is a run already; tinygradconv train --resume {folder} goes on with it" if is_run else "is not empty"
            raise FileExistsError(f"{folder} {what}. Or name another folder by --out")
        try:
            write_whole(folder / "config.json", config_json.to_text(run.config).encode())
            run.log.start()
            sync_folder(folder.parent)
        except OSError:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Run:
        """The run in this folder. FileNotFoundError: there is none; ValueError: its config.json is damaged or of another format.

        A config.json that is gone or damaged is read from the newest snapshot instead, with a warning.
        """
        folder = Path(folder)
        path = folder / "config.json"
        try:
            if not path.is_file():
                raise FileNotFoundError(f"{folder} is not the folder of a run: it has no config.json")
            return cls(folder, config_json.from_bytes(path.read_bytes(), str(path)))
        except (FileNotFoundError, ValueError) as problem:
            try:
                snapshot, _ = newest(folder)
                config = config_json.from_bytes(snapshot.config.encode(), str(path)) if snapshot else None
            except ValueError:
                config = None
            if config is None:
                raise
            warnings.warn(f"{problem}. Its copy in the newest snapshot is used", stacklevel=2)
            return cls(folder, config)

    def lock(self) -> None:
        """Keep other processes from going on with this run until this one ends. BlockingIOError: one does already."""
        if self._lock is not None:
            return
        with contextlib.suppress(ImportError):           # no fcntl on Windows: no lock there
            import fcntl
            self._lock = os.open(self.folder, os.O_RDONLY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.close()
                raise BlockingIOError(f"{self.folder} is in use: another process is training this run") from None

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # What is saved.
    def save(self, state: State) -> None:
        """A snapshot: last.safetensors, then the state. OSError: it could not be written, and the one before still stands."""
        snapshot = Snapshot(state, config_json.to_text(self.config), self.log.text, self._best)
        data = snapshot.to_bytes()
        with self._writing():
            write_whole(self.folder / "last.safetensors", safetensors.to_bytes(state.weights()))
            write_whole(self.folder / STATES[0], data, keep=self.folder / STATES[1])
            write_whole(self.folder / "state.json", snapshot.to_text(data).encode())

    def save_best(self, weights: Mapping[str, np.ndarray], epoch: int) -> None:
        """The weights of the best epoch so far, and which epoch it is."""
        data = safetensors.to_bytes(weights, {"epoch": epoch})
        with self._writing():
            write_whole(self.folder / "best.safetensors", data)
        self._best = hashlib.sha256(data).hexdigest()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Around whatever is written: the folder must still be the one that was locked, and an OSError says how to go on."""
        if self._lock is not None and not _is_at(self._lock, self.folder):
            raise FileNotFoundError(f"{self.folder} was moved or deleted while this process trained into it: nothing more is saved. Moved, "
                                    f"the run goes on by tinygradconv train --resume and the folder's new name")
        try:
            yield
        except OSError as problem:
            told = type(problem)(f"{problem}. When that is mended, tinygradconv train --resume {self.folder} goes on")
            told.errno = problem.errno
            raise told from None

    # What is found again.
    def load(self) -> tuple[State | None, list[str]]:
        """(the newest sound state, messages about those that were not); None where the run has saved none yet. Nothing is written.

        ValueError: there are states, but none is sound, or they belong to another run.
        """
        snapshot, problems = self._newest()
        return snapshot and snapshot.state, problems

    def go_on(self) -> tuple[State | None, list[str]]:
        """`load`, and make the folder what it was when that state was saved: what a kill left and what was damaged since is mended.

        The messages also say what was mended, and what cannot be. The run must be locked.
        """
        snapshot, problems = self._newest()
        for begun in self.folder.glob(f"*{NEW}"):
            begun.unlink()
        if snapshot is None:
            self.log.start()
            return None, problems
        with self._writing():
            if not (self.folder / STATES[0]).exists() or problems:       # saving would put a damaged one in the place of the sound one
                os.replace(self.folder / STATES[1], self.folder / STATES[0])
            if not self.log.restore(snapshot.log):
                problems.append(f"{self.log.path} was damaged: its rows are written again, up to the snapshot")
            data = (self.folder / STATES[0]).read_bytes()
            mend(self.folder / "config.json", snapshot.config.encode())
            mend(self.folder / "last.safetensors", safetensors.to_bytes(snapshot.state.weights()))
            mend(self.folder / "state.json", snapshot.to_text(data).encode())
        self._best = snapshot.best
        lost = self._best_lost(snapshot)
        return snapshot.state, problems + ([f"{lost}. The run goes on without"] if lost else [])

    def rows(self) -> list[dict[str, str]]:
        """The rows of log.csv. ValueError: it is damaged, or not what was written before the newest snapshot."""
        snapshot, _ = self._newest()                       # before the log: a process that trains on writes the log first
        if snapshot is not None and not self.log.begins_with(snapshot.log):
            raise ValueError(f"{self.log.path} is damaged: it is not what was written. {self._mending()}")
        return self.log.rows()

    def weights(self, name: str = "last") -> dict[str, np.ndarray]:
        """Weights and buffers by path, of the 'last' snapshot or the 'best' epoch. FileNotFoundError, ValueError: not there, damaged."""
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: the run has saved no weights yet. "
                                    f"tinygradconv train --resume {self.folder} goes on with it")
        if name == "best":
            snapshot = None
            with contextlib.suppress(ValueError):          # no snapshot is sound: the file's own checksum must do
                snapshot, _ = newest(self.folder)
            if snapshot is not None and (lost := self._best_lost(snapshot)):
                raise ValueError(lost)
        try:
            return safetensors.from_bytes(path.read_bytes(), str(path), ours=True)[0]
        except ValueError as problem:
            raise ValueError(f"{problem}. {self._mending()}") from None

    def _mending(self) -> str:
        return f"tinygradconv train --resume {self.folder} writes it again"

    def _newest(self) -> tuple[Snapshot | None, list[str]]:
        """The newest sound snapshot; ValueError where it belongs to another run."""
        snapshot, problems = newest(self.folder)
        if snapshot is not None and snapshot.config != config_json.to_text(self.config):
            raise ValueError(f"{self.folder / STATES[bool(problems)]} belongs to another run: "
                             f"it was saved under another config.json than the one in {self.folder}")
        return snapshot, problems

    def _best_lost(self, snapshot: Snapshot) -> str:
        """What is wrong with best.safetensors, if it is neither the file that the snapshot counts on nor of a later epoch; or nothing."""
        path, at = self.folder / "best.safetensors", snapshot.state.position
        try:
            data = path.read_bytes() if snapshot.best else b""
            if not snapshot.best or hashlib.sha256(data).hexdigest() == snapshot.best:
                return ""
            said = safetensors.from_bytes(data, str(path), ours=True)[1] or {}
            if said.get("epoch", 0) > at.epoch:            # written before a snapshot that was never saved, or is gone
                return ""
            problem = f"{path} holds other weights than those of epoch {at.best_epoch}, the best so far"
        except (FileNotFoundError, ValueError) as found:
            problem = f"{path} does not exist any more" if isinstance(found, FileNotFoundError) else str(found)
        return (f"{problem}. No snapshot holds these weights: put back a copy of the file, use last.safetensors, "
                f"or train anew with the same seed and another --out, which ends in the same ones")


def _is_at(handle: int, folder: Path) -> bool:
    """Whether the folder that is open is the one of this name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(folder))
    except FileNotFoundError:
        return False


def _taken(folder: Path) -> bool:
    """Whether there is something in a folder, other than what a killed process had begun to write."""
    return folder.is_dir() and any(not file.name.endswith(NEW) for file in folder.iterdir())


def free_folder(folder: str | os.PathLike) -> Path:
    """`folder`, or folder-2, folder-3, … : the first that does not exist, or is empty."""
    folder, number = Path(folder), 1
    while True:
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if not candidate.exists() or (candidate.is_dir() and not _taken(candidate)):
            return candidate
        number += 1
