"""How works on a GPU are timed, and what is made of the times.

A GPU computes beside the host, so a sample is a number of calls and then a wait for the GPU: so many calls that a sample takes some
milliseconds. The sides take turns; the median of the samples counts.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .work import OURS, Floor

SAMPLES = 7
LEAST = 0.02                 # seconds of a sample
MOST_CALLS = 1000
EAGER, AMP, COMPILED, CUBLAS, COPY = "torch", "torch AMP channels_last", "torch compiled", "cuBLAS", "copy"


def medians(sides: Mapping[str, Callable[[], object]], synchronize: Callable[[], object], samples: int = SAMPLES,
            clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Seconds of one call of each side, by name: each is called three times first, so that what it compiles or records is not timed."""
    def sample(call: Callable[[], object], calls: int) -> float:
        start = clock()
        for _ in range(calls):
            call()
        synchronize()
        return (clock() - start) / calls

    counts = {}
    for name, call in sides.items():
        for _ in range(3):
            call()
        synchronize()
        counts[name] = min(max(round(LEAST / max(sample(call, 2), 1e-9)), 1), MOST_CALLS)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(samples):
        for name, call in sides.items():
            taken[name].append(sample(call, counts[name]))
    return {name: statistics.median(times) for name, times in taken.items()}


@dataclass(frozen=True)
class Limits:
    """What this GPU can do, measured in the same run: FLOPs a second by precision (cuBLAS), bytes a second that a copy reads and writes."""

    flops: Mapping[str, float]
    bandwidth: float | None

    def share(self, floor: Floor, precision: str, seconds: float) -> tuple[float, str] | None:
        """(the part of this time that the floor needs, "F" or "C": FLOPs or copied bytes decide it); None where nothing is known."""
        needs = {"F": floor.flops / self.flops[precision] if self.flops.get(precision) else 0.0,
                 "C": floor.nbytes / self.bandwidth if self.bandwidth else 0.0}
        by = max(needs, key=needs.__getitem__)
        return (needs[by] / seconds, by) if needs[by] else None


@dataclass(frozen=True)
class Row:
    """A work that has been measured: seconds by side, ours among them; `images` in a call of a training step; what it cannot do without."""

    work: str
    precision: str
    seconds: Mapping[str, float]
    floor: Floor = Floor()
    images: int = 0
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """"step resnet20 tf32"."""
        return f"{self.work} {self.precision}"

    def ratio(self, peer: str) -> float | None:
        """The peer's time over ours, so that larger is better; None where it was not measured."""
        return self.seconds[peer] / self.seconds[OURS] if peer in self.seconds else None

    def as_json(self, limits: Limits) -> dict[str, Any]:
        """What --json writes."""
        share = limits.share(self.floor, self.precision, self.seconds[OURS])
        return {"work": self.name, "precision": self.precision, "unit": "ms", "ours": 1e3 * self.seconds[OURS],
                "peers": {name: 1e3 * seconds for name, seconds in self.seconds.items() if name != OURS},
                "images_per_second": {name: self.images / seconds for name, seconds in self.seconds.items()} if self.images else None,
                "of_floor": None if share is None else share[0], "limited_by": None if share is None else share[1],
                "gflop": self.floor.flops / 1e9, "mb": self.floor.nbytes / 1e6, "notes": list(self.notes)}


@dataclass(frozen=True)
class Bar:
    """What a work must reach: peer's time / ours; of COPY, the share of the measured copy bandwidth."""

    says: str
    row: str
    against: str
    bar: float


# The table of what must hold on one H100.
BARS = [
    Bar("CIFAR ResNet-20 step, batch 128, captured", "step resnet20 tf32", EAGER, 3.0),
    Bar("CIFAR ResNet-20 step, batch 128, captured", "step resnet20 tf32", COMPILED, 1.0),
    Bar("CIFAR ResNet-18 step, batch 512, bf16", "step resnet18 of CIFAR bf16", AMP, 0.8),
    Bar("ResNet-50 step at 224, batch 128, bf16", "step resnet50 bf16", AMP, 0.6),
    Bar("matmul 4096³, fp32", "matmul 4096 fp32", CUBLAS, 0.8),
    Bar("matmul 4096³, bf16 by mma.sync", "matmul 4096 mma.sync bf16", CUBLAS, 0.45),
    Bar("matmul 4096³, bf16 by wgmma", "matmul 4096 bf16", CUBLAS, 0.65),
    Bar("batch norm + ReLU", "batch norm + relu fp32", COPY, 0.85),
    Bar("max pooling", "max pool fp32", COPY, 0.85),
    Bar("average pooling", "average pool fp32", COPY, 0.85),
    Bar("elementwise", "add fp32", COPY, 0.85),
    Bar("elementwise", "relu fp32", COPY, 0.85),
    Bar("LeNet-5 step, batch 64, captured", "step lenet5 tf32", EAGER, 5.0),
]


@dataclass(frozen=True)
class Verdict:
    """A bar and what was reached; None where it was not measured."""

    bar: Bar
    value: float | None

    @property
    def word(self) -> str:
        """'holds', 'missed' or 'not measured'."""
        return "not measured" if self.value is None else "holds" if self.value >= self.bar.bar else "missed"


def judge(rows: Iterable[Row], limits: Limits, bars: Sequence[Bar] = BARS) -> list[Verdict]:
    """A verdict for every bar."""
    by_name = {row.name: row for row in rows}

    def reached(bar: Bar) -> float | None:
        row = by_name.get(bar.row)
        if row is None:
            return None
        if bar.against != COPY:
            return row.ratio(bar.against)
        return row.floor.nbytes / limits.bandwidth / row.seconds[OURS] if limits.bandwidth else None
    return [Verdict(bar, reached(bar)) for bar in bars]


@dataclass
class Job:
    """A work on a GPU: its sides by name (ours by OURS), a check that they compute the same, and what a Row has of it."""

    sides: dict[str, Callable[[], object]]
    verify: Callable[[], None]
    floor: Floor = Floor()
    images: int = 0
    notes: list[str] = field(default_factory=list)
