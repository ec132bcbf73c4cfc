"""A work, what measuring it gives, and its row in the table."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tinygradconv as tgc

from .protocol import SAMPLES, take_turns

MILLISECONDS, MEBIBYTES, SLOPE = "ms", "MiB", "log-log slope"


class WrongResultError(ArithmeticError):
    """The two sides do not compute the same, so there is nothing to compare."""


@dataclass(frozen=True)
class Options:
    """How to measure: threads on both sides, samples, whether PyTorch compiles its models, and for how many seconds at most."""

    threads: int
    samples: int = SAMPLES
    compiles: bool = True
    patience: int = 300
    quick: bool = False


@dataclass(frozen=True)
class Floor:
    """What the work cannot do without: FLOPs of its definition (a multiply-add is two), and bytes that must be read or written once."""

    flops: float = 0.0
    nbytes: float = 0.0


@dataclass
class Sides:
    """Ours, the peers by name, a check that all compute the same (it raises WrongResultError), the floor, and what to tell the reader."""

    ours: Callable[[], object]
    peers: dict[str, Callable[[], object]]
    verify: Callable[[], None]
    floor: Floor = Floor()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """Of each side the least value and the median, by name, ours by the name OURS; `curve`: points (size, cost) where one was measured."""

    values: Mapping[str, float]
    medians: Mapping[str, float] = field(default_factory=dict)
    floor: Floor = Floor()
    notes: tuple[str, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()


OURS = "tinygradconv"


@dataclass(frozen=True)
class Work:
    """Something that is measured. The first word of its name is its kind, by which bars.py finds it."""

    name: str
    measure: Callable[[Options], Measured]
    unit: str = MILLISECONDS

    @property
    def kind(self) -> str:
        """The first word of the name."""
        return self.name.split()[0]


@dataclass(frozen=True)
class Row:
    """A work that has been measured. `ratio` is the best peer over ours, so that larger is better; None where there is no peer."""

    work: str
    unit: str
    ours: float
    peers: Mapping[str, float]
    threads: int
    medians: Mapping[str, float] = field(default_factory=dict)
    floor: Floor = Floor()
    notes: tuple[str, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def best_peer(self) -> str | None:
        """The name of the peer with the least value."""
        return min(self.peers, key=self.peers.__getitem__) if self.peers else None

    @property
    def ratio(self) -> float | None:
        """The best peer's value over ours."""
        return self.peers[self.best_peer] / self.ours if self.peers else None

    @property
    def ratio_of_medians(self) -> float | None:
        """The least of the peers' medians over ours, where medians were taken."""
        peers = [median for name, median in self.medians.items() if name != OURS]
        return min(peers) / self.medians[OURS] if peers else None

    def as_json(self) -> dict[str, Any]:
        """The form that --json writes."""
        return {"work": self.work, "unit": self.unit, "ours": self.ours, "peers": dict(self.peers), "best_peer": self.best_peer,
                "ratio": self.ratio, "threads": self.threads}


def timed(name: str, prepare: Callable[[Options], Sides]) -> Work:
    """A work whose sides take turns; they are verified before the first is timed."""
    def measure(options: Options) -> Measured:
        with tgc.settings(threads=options.threads):
            sides = prepare(options)
            sides.verify()
            times = take_turns({OURS: sides.ours, **sides.peers}, options.samples)
        return Measured({side: 1e3 * t.minimum for side, t in times.items()}, {side: 1e3 * t.median for side, t in times.items()},
                        sides.floor, tuple(sides.notes))
    return Work(name, measure)


def row_of(work: Work, options: Options) -> Row:
    """Measure one work."""
    measured = work.measure(options)
    values = dict(measured.values)
    return Row(work.name, work.unit, values.pop(OURS), values, options.threads, measured.medians, measured.floor, measured.notes,
               measured.curve)
