"""What a run has seen, as numbers: the rows of its log.csv, read strictly, for those who draw them."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .log import COLUMNS, Log
from .snapshot import Run

FEWEST = 50                     # steps for which a mean stands, where an epoch has as many


@dataclass(frozen=True, eq=False)
class History:
    """The columns of a run's log, float64 (rows,), NaN where a row has no number; see `Log` for what they mean.

    Within an epoch a row has no test accuracy; `epoch` counts whole ones.
    """

    name: str
    epoch: np.ndarray
    step: np.ndarray
    rate: np.ndarray
    loss: np.ndarray
    train_accuracy: np.ndarray
    accuracy: np.ndarray
    seconds: np.ndarray

    @classmethod
    def read(cls, run: str | os.PathLike, name: str | None = None) -> History:
        """The history of the run in a folder, or of a log.csv itself; called as the folder is, or `name`.

        The log of a run must be what its newest snapshot counts on; that of a folder without a run, or a file, is read as it is. A last
        line that was cut off is left out. FileNotFoundError: there is no log. ValueError names the file and the line: nothing was
        logged yet, it is no log or a damaged one, a number that is none, steps that do not rise.
        """
        path, of_run = Path(run), False
        if path.is_dir():
            of_run = (path / "config.json").is_file()
            path /= "log.csv"
        if not path.is_file():
            raise FileNotFoundError(f"{run} is not a run: there is no {path}")
        rows = Run.open(path.parent).rows() if of_run else Log(path).rows()
        return cls(name if name is not None else path.resolve().parent.name, **_numbers(path, rows))

    @property
    def epoch_steps(self) -> float:
        """How many steps an epoch has; NaN before the first has ended."""
        ends = ~np.isnan(self.accuracy) & (self.epoch > 0)
        return float(self.step[ends][-1] / self.epoch[ends][-1]) if ends.any() else float("nan")

    def pieces(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, means): a column of means since the row before, loss or training accuracy, over so many steps that they compare.

        A row is written every 100 steps and after every epoch, so there are some of a few steps; each is taken together with the next,
        until it stands for 50 steps or an epoch, the last with those before. `rows` are where the pieces end.
        """
        least = float(np.nanmin([FEWEST, self.epoch_steps]))
        counts = np.diff(self.step, prepend=0)
        found: list[tuple[int, float, float]] = []                       # (row, Σ steps·value, Σ steps)
        total = steps = 0.0
        for row in np.flatnonzero(np.isfinite(values)):
            total, steps = total + counts[row] * values[row], steps + counts[row]
            if steps >= least:
                found.append((row, total, steps))
                total = steps = 0.0
        if steps:
            _, before, many = found.pop() if found else (0, 0.0, 0.0)
            found.append((row, before + total, many + steps))
        return np.array([row for row, _, _ in found], int), np.array([total / steps for _, total, steps in found])

    @property
    def final(self) -> float:
        """The last test accuracy in %; NaN before the first."""
        found = self.accuracy[~np.isnan(self.accuracy)]
        return float(found[-1]) if len(found) else float("nan")


def _numbers(path: Path, rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    if not rows:
        raise ValueError(f"{path} has no rows yet: one is written every 100 steps, and after every epoch. Train longer, then draw")
    found = {name: np.full(len(rows), np.nan) for name in COLUMNS}
    before = 0.0
    for i, row in enumerate(rows):
        for name in COLUMNS:
            try:
                found[name][i] = float(row[name] or "nan")
            except ValueError:
                raise ValueError(f"{path}, line {i + 2}: {name} must be a number, got {row[name]!r:.40}. The log is damaged") from None
        step = found["step"][i]
        if not before < step < float("inf"):
            raise ValueError(f"{path}, line {i + 2}: steps must rise, got {before:g} and then {step:g}. The log is damaged")
        before = step
    return found
