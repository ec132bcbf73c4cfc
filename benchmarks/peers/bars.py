"""What must hold against the best of PyTorch and NumPy (the bar), and what we are after (the goal)."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .work import Row


def geometric_mean(ratios: Sequence[float]) -> float:
    """The root of the product: twice as fast here makes up for half as fast there."""
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))


LOWEST, MEAN = "lowest", "geometric mean"
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {LOWEST: min, MEAN: geometric_mean}


@dataclass(frozen=True)
class Bar:
    """Of the works whose names match `works`, the `statistic` of the ratios must reach `bar`; `goal` is None where there is none beyond."""

    says: str
    works: str
    statistic: str
    bar: float
    goal: float | None = None


BARS = [
    Bar("LeNet-5 training step, batch 64", "step lenet5*", LOWEST, 2, 3),
    Bar("CIFAR ResNet-20 training step, batch 128", "step resnet20*", LOWEST, 1.6, 2),
    Bar("ResNet-18 training step, batch 8 at 224", "step resnet18*", LOWEST, 1.4, 1.8),
    Bar("VGG-16 inference, batch 2 at 224", "inference vgg16*", LOWEST, 1.8, 2.5),
    Bar("ResNet-18 inference, batch 8 at 224", "inference resnet18*", LOWEST, 1.4, 2),
    Bar("convolution, forward + both gradients", "conv *", MEAN, 1.6, 2.2),
    Bar("convolution, forward + both gradients", "conv *", LOWEST, 0.9, 1),
    Bar("matmul, prepacked weights", "matmul *", LOWEST, 0.95, 1),
    Bar("batch norm + ReLU + residual", "norm *", MEAN, 2, 3),
    Bar("batch norm + ReLU + residual", "norm *", LOWEST, 1, 1.5),
    Bar("pooling", "pool *", MEAN, 2, 3),
    Bar("pooling", "pool *", LOWEST, 1, 1.5),
    Bar("30 small ops, forward + backward", "dispatch *", LOWEST, 1, 2),
    Bar("peak memory of a training step", "memory *", LOWEST, 1, 1.3),
    Bar("log-log slope of the cost at most 1.05", "scaling *", LOWEST, 1),
]


@dataclass(frozen=True)
class Verdict:
    """A bar, the value that `count` rows gave, and the row of the lowest ratio."""

    bar: Bar
    value: float
    count: int
    lowest: str

    @property
    def missed(self) -> bool:
        """Whether the bar was not reached."""
        return not self.value >= self.bar.bar

    @property
    def word(self) -> str:
        """'missed', 'holds' or 'goal'."""
        return "missed" if self.missed else "goal" if self.bar.goal is not None and self.value >= self.bar.goal else "holds"


def judge(rows: Iterable[Row], bars: Iterable[Bar] = BARS) -> list[Verdict]:
    """A verdict for each bar of which some row was measured, on those that were."""
    verdicts = []
    rows = [row for row in rows if row.ratio is not None]
    for bar in bars:
        ratios = {row.work: row.ratio for row in rows if fnmatchcase(row.work, bar.works)}
        if ratios:
            value = STATISTICS[bar.statistic](list(ratios.values()))
            verdicts.append(Verdict(bar, value, len(ratios), min(ratios, key=ratios.__getitem__)))
    return verdicts
