"""A run's folder: what was asked for, what was seen, the weights, and everything needed to go on.

    config.json            model, data, recipe, seed, …: written before step 1 and never again
    log.csv                see log.py
    last.safetensors       weights and buffers, nothing else; best.safetensors: those of the epoch with the best test accuracy
    state.safetensors      weights, buffers, the optimiser's arrays, and in its metadata the position, counters and a checksum
    state.previous.safetensors   the one before
    state.json             the position of state.safetensors, for people to read

Every file is written beside and renamed. state.safetensors alone decides where a run goes on, so there is no moment at which
files disagree: best and last are written before it, and a run that goes on from an older state writes them again, with the same bytes.
Nothing is ever unpickled.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tinygradconv.interop import safetensors
from tinygradconv.interop.files import write_whole

from .log import Log

FORMAT = 1
PARTS = ("model", "optimizer")            # of a state, and of the names in its file


@dataclass
class Position:
    """How far a run has come: `epoch` whole epochs and `batch` batches of the next; and what it has added up on the way."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    counter: int = 0              # the model's: what its random numbers (dropout) come from
    rows: int = 0                 # of the log
    loss_sum: float = 0.0         # since the last row
    loss_count: int = 0
    correct_sum: int = 0          # training images that were given their class, since the last row
    images: int = 0               # and of how many
    seconds: float = 0.0          # of training, in all the sittings
    waiting: float = 0.0          # of these, for the loader
    accuracy: float = -1.0        # % on the test images after the last whole epoch
    best: float = -1.0
    best_epoch: int = 0
    correct: int = -1
    tested: int = 0


@dataclass(frozen=True)
class State:
    """What a snapshot holds: where the run stood, weights and buffers by path, the optimiser's arrays, and which kernels were tuned.

    `tuned` is the table of backends/choice.py, empty unless the run measured (TGC_TUNE): the run then goes on with the same kernels.
    """

    position: Position
    model: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]
    tuned: Mapping[str, str] = field(default_factory=dict)


class Run:
    """The folder of one run. `Run.create` begins one, `Run.open` finds one; a lock keeps a second process from writing to it."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder, self.config = folder, config
        self.log = Log(folder / "log.csv")
        self._lock: int | None = None

    @classmethod
    def create(cls, folder: str | os.PathLike, config: Mapping) -> Run:
        """A new run in a new or empty folder, its config.json written. FileExistsError: it is not empty; OSError: it cannot be written."""
        folder = Path(folder)
        try:
            taken = _taken(folder)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise type(problem)(f"cannot make the folder {folder}: {problem.strerror or problem}. Name another one by --out") from None
        if taken:
            is_run = (folder / "config.json").exists()
            what = f"is a run already; tinygradconv train --resume {folder} goes on with it" if is_run else "is not empty"
            raise FileExistsError(f"{folder} {what}. Or name another folder by --out")
        run = cls(folder, {"format": FORMAT, **config})
        run.lock()
        write_whole(folder / "config.json", (json.dumps(run.config, indent=2, allow_nan=False) + "\n").encode())
        run.log.start()
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Run:
        """The run in this folder. FileNotFoundError: there is none; ValueError: its config.json is damaged or of another format."""
        folder = Path(folder)
        path = folder / "config.json"
        if not path.is_file():
            raise FileNotFoundError(f"{folder} is not the folder of a run: it has no config.json")
        config = _json(path)
        if config.get("format") != FORMAT:
            raise ValueError(f"{path}: this version of tinygradconv reads runs of format {FORMAT}, got {config.get('format')!r}")
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
        write_whole(self.folder / "last.safetensors", safetensors.to_bytes(state.model))
        said = {"config": self._config_id(), "position": asdict(state.position), "tuned": dict(state.tuned)}
        arrays = {f"{part}.{path}": a for part in PARTS for path, a in getattr(state, part).items()}
        data = safetensors.to_bytes(arrays, said)
        write_whole(self.folder / "state.safetensors", data, keep=self.folder / "state.previous.safetensors")
        readable = {**said, "sha256": hashlib.sha256(data).hexdigest()}
        write_whole(self.folder / "state.json", (json.dumps(readable, indent=2) + "\n").encode())

    def save_best(self, model: Mapping[str, np.ndarray]) -> None:
        """The weights of the best epoch so far."""
        write_whole(self.folder / "best.safetensors", safetensors.to_bytes(model))

    # What is found again.
    def load(self) -> tuple[State | None, list[str]]:
        """(the newest sound state, messages about those that were not); None where the run has saved none yet.

        ValueError: there are states, but none is sound, or they belong to another run.
        """
        problems = []
        for name in ("state.safetensors", "state.previous.safetensors"):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                return self._state(path), [f"{problem}. Going on from {name}, the snapshot before" for problem in problems]
            except ValueError as problem:
                problems.append(str(problem))
        if problems:
            raise ValueError(f"{'; '.join(problems)}. No sound snapshot is left in {self.folder}: train anew with another --out")
        return None, []

    def drop_damaged(self) -> None:
        """After `load` went back to the snapshot before: make that one the newest, or saving would put the damaged one in its place."""
        os.replace(self.folder / "state.previous.safetensors", self.folder / "state.safetensors")

    def weights(self, name: str = "last") -> dict[str, np.ndarray]:
        """Weights and buffers by path, of the 'last' snapshot or the 'best' epoch. FileNotFoundError, ValueError: not there, damaged."""
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: the run has saved no weights yet. "
                                    f"tinygradconv train --resume {self.folder} goes on with it")
        return safetensors.load(path)

    def _state(self, path: Path) -> State:
        arrays, said = safetensors.from_bytes(path.read_bytes(), str(path))
        try:
            position, config = Position(**said["position"]), said["config"]
        except (TypeError, KeyError):
            raise ValueError(f"{path} is not the state of a run: its metadata lacks the position") from None
        if config != self._config_id():
            raise ValueError(f"{path} belongs to another run: it was saved under another config.json than the one in {self.folder}")
        model, optimizer = ({name.removeprefix(f"{part}."): a for name, a in arrays.items() if name.startswith(f"{part}.")}
                            for part in PARTS)
        return State(position, model, optimizer, said.get("tuned", {}))

    def _config_id(self) -> str:
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()


def _json(path: Path) -> dict:
    try:
        values = json.loads(path.read_bytes())
    except ValueError as problem:
        raise ValueError(f"{path} is damaged: {problem}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: expected a JSON object, got {type(values).__name__}")
    return values


def _taken(folder: Path) -> bool:
    """Whether there is something in a folder, other than what a killed process had begun to write."""
    return folder.is_dir() and any(not file.name.endswith(".new") for file in folder.iterdir())


def free_folder(folder: str | os.PathLike) -> Path:
    """`folder`, or folder-2, folder-3, … : the first that does not exist, or is empty."""
    folder, number = Path(folder), 1
    while True:
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if not candidate.exists() or (candidate.is_dir() and not _taken(candidate)):
            return candidate
        number += 1
