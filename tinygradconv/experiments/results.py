"""What the runs of an experiment have come to, read from their logs alone."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


class Unfinished(LookupError):
    """A number was asked for that needs a network which is not trained to its end yet, or what is measured after them."""


@dataclass(frozen=True)
class Point:
    """The end of an epoch: test error and, where the log has it, the error on the training images as they were learnt, in %."""

    epoch: int
    error: float
    train_error: float | None
    seconds: float


@dataclass(frozen=True)
class Result:
    """One network's run: a point for each whole epoch, and how many epochs there will be."""

    points: tuple[Point, ...]
    epochs: int

    @property
    def finished(self) -> bool:
        """Whether the last epoch is there."""
        return bool(self.points) and self.points[-1].epoch >= self.epochs

    @property
    def error(self) -> float:
        """The test error after the last epoch, in %. Unfinished."""
        return self._last().error

    @property
    def train_error(self) -> float:
        """The error on the training images in the last epoch, in %. Unfinished where the log has none."""
        value = self._last().train_error
        if value is None:
            raise Unfinished("the log does not have it")
        return value

    @property
    def seconds(self) -> float:
        """Of training, so far."""
        return self.points[-1].seconds if self.points else 0.0

    def _last(self) -> Point:
        if not self.finished:
            raise Unfinished("training goes on")
        return self.points[-1]


@dataclass(frozen=True)
class Results:
    """The results by the keys of the networks, and the numbers that were measured after them, by name."""

    runs: Mapping[str, Result]
    measured: Mapping[str, object] = field(default_factory=dict)

    def run(self, key: str) -> Result:
        """One network's; Unfinished where it was not begun."""
        if key not in self.runs:
            raise Unfinished(f"{key} was not begun")
        return self.runs[key]

    def number(self, name: str) -> float:
        """What was measured after training. Unfinished."""
        if name not in self.measured:
            raise Unfinished(f"{name} was not measured")
        return float(self.measured[name])


def of_log(rows: Iterable[Mapping[str, str]], epochs: int) -> Result:
    """The result that the rows of a log tell of. A row within an epoch has no test accuracy; its training images count for the epoch's."""
    points, counted, before = [], [], 0
    for row in rows:
        step, share = int(row["step"]), row.get("train_accuracy") or ""
        if share:
            counted.append((step - before, float(share)))
        before = step
        if row["accuracy"]:
            steps = sum(weight for weight, _ in counted)
            learnt = 100 - math.fsum(weight * share for weight, share in counted) / steps if steps else None
            points.append(Point(int(row["epoch"]), round(100 - float(row["accuracy"]), 4), learnt, float(row["seconds"])))
            counted = []
    return Result(tuple(points), epochs)


# Measures: functions of the results, which an expectation names.
Measure = Callable[[Results], float]


def error(*keys: str) -> Measure:
    """The mean test error of these networks, in %."""
    return lambda results: statistics.fmean(results.run(key).error for key in keys)


def train_error(*keys: str) -> Measure:
    """The mean error of these networks on their training images, in %."""
    return lambda results: statistics.fmean(results.run(key).train_error for key in keys)


def worse_by(worse: Measure, better: Measure) -> Measure:
    """worse − better, in points."""
    return lambda results: worse(results) - better(results)


def ratio(above: str, below: str) -> Measure:
    """One measured number over another."""
    return lambda results: results.number(above) / results.number(below)
