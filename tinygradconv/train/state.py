"""Everything that a training needs to go on from where it stands, as one value; and a snapshot, which is that value in a file."""
from __future__ import annotations

import errno
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinygradconv.interop import safetensors

STATES = ("state.safetensors", "state.previous.safetensors")            # newest first
PARTS = ("model", "optimizer", "ema")     # of a state, and of the names in its file
TEXTS = ("config", "log")                 # files that are text, and the names of the arrays that hold them


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
    """Where a training stands: its position, weights and buffers by path, the arrays of the optimiser and of the running mean of weights.

    ema          what `EMA.state` says, empty without one
    early_stop   what `EarlyStop.state` says, empty without one
    tuned        the table of backends/choice.py, empty unless the run measured (TGC_TUNE): the run then goes on with the same kernels

    Order of the data, augmentation and rate are functions of the seed and the position, so they are not kept.
    """

    position: Position
    model: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]
    tuned: Mapping[str, str] = field(default_factory=dict)
    ema: Mapping[str, np.ndarray] = field(default_factory=dict)
    early_stop: Mapping[str, Any] = field(default_factory=dict)

    def weights(self) -> dict[str, np.ndarray]:
        """The weights and buffers that the training is judged by: their running means where it keeps them."""
        means = {name.removeprefix("average."): a for name, a in self.ema.items() if name.startswith("average.")}
        return means or dict(self.model)


@dataclass(frozen=True)
class Snapshot:
    """A state, and what its run's folder held at that moment: the texts of config.json and log.csv, the checksum of best.safetensors."""

    state: State
    config: str
    log: str
    best: str

    def to_bytes(self) -> bytes:
        """The snapshot as a safetensors file, with a checksum of all its bytes."""
        arrays = {f"{part}.{path}": a for part in PARTS for path, a in getattr(self.state, part).items()}
        texts = {name: np.frombuffer(getattr(self, name).encode(), np.uint8) for name in TEXTS}
        return safetensors.to_bytes({**arrays, **texts}, self._said())

    def to_text(self, data: bytes) -> str:
        """The snapshot without its arrays, as JSON for people to read; `data` are its bytes."""
        return json.dumps({**self._said(), "sha256": hashlib.sha256(data).hexdigest()}, indent=2) + "\n"

    def _said(self) -> dict[str, Any]:
        state = self.state
        return {"position": asdict(state.position), "early_stop": dict(state.early_stop), "tuned": dict(state.tuned), "best": self.best}

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Snapshot:
        """The snapshot that `to_bytes` made these bytes of. ValueError: `name` is damaged, or is something else."""
        arrays, said = safetensors.from_bytes(data, name, ours=True)
        parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
        try:
            config, log = (arrays.pop(text).tobytes().decode() for text in TEXTS)
            for key, array in arrays.items():
                part, path = key.split(".", 1)
                parts[part][path] = array
            state = State(_position(said["position"]), parts["model"], parts["optimizer"], {**said["tuned"]}, parts["ema"],
                          {**said["early_stop"]})
            return cls(state, config, log, str(said["best"]))
        except (TypeError, LookupError, ValueError) as problem:
            raise ValueError(f"{name} is not the state of a run ({problem!r:.200}): "
                             f"it was saved by another version of tinygradconv, or by something else") from None


def _position(values: Mapping[str, Any]) -> Position:
    """The position of these values; whole numbers where it counts, finite ones elsewhere."""
    at = Position(**values)
    for each in fields(at):
        value = getattr(at, each.name)
        if type(value) is not int and (each.type == "int" or type(value) is not float or not math.isfinite(value)):
            raise ValueError(f"{each.name} is {value!r:.40}")
    return at


def newest(folder: Path) -> tuple[Snapshot | None, list[str]]:
    """The newest sound snapshot in a folder, and messages about those that are not sound. ValueError: none of those that are there is."""
    problems = []
    for name in STATES:
        path = folder / name
        if not path.exists():
            continue
        try:
            return Snapshot.from_bytes(path.read_bytes(), str(path)), [f"{problem}. Going on from {name}, the snapshot before"
                                                                       for problem in problems]
        except (OSError, ValueError) as problem:
            if isinstance(problem, OSError) and problem.errno != errno.EIO:            # a bad block is damage too
                raise
            problems.append(str(problem))
    if problems:
        raise ValueError(f"{'; '.join(problems)}. No sound snapshot is left in {folder}: train anew with another --out")
    return None, []
