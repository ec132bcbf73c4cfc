"""What a training step costs as it grows: against the images in a batch, the depth of the network, the pixels of an image.

Twice the work should take twice the time, not more: on paper with logarithmic axes the costs lie on a line whose slope is at most 1.
The row's "peer" is the limit, 1.05, so its ratio is limit / slope.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

import tinygradconv as tgc

from .protocol import take_turns
from .training import OurStep, our_model
from .work import OURS, SLOPE, Measured, Options, Row, Work

LIMIT = 1.05


@dataclass(frozen=True)
class Curve:
    """Steps that differ in one number: what the number is, its values, the step for a value, and the size that a value stands for."""

    number: str
    values: tuple[int, ...]
    step: Callable[[int], Callable[[], object]]
    size: Callable[[int], int] = lambda value: value


CURVES = {
    "lenet5 batch": Curve("images in a batch", (1, 2, 4, 8, 16, 32, 64, 128, 256), lambda batch: OurStep(our_model("lenet5"), batch)),
    "resnet20 batch": Curve("images in a batch", (1, 2, 4, 8, 16, 32, 64, 128, 256), lambda batch: OurStep(our_model("resnet20"), batch)),
    "resnet depth": Curve("layers, at batch 32", (20, 32, 44, 56, 110), lambda depth: OurStep(our_model(f"resnet{depth}"), 32)),
    "resnet18 image": Curve("pixels of an image, at batch 8", (32, 64, 96, 128, 160, 192, 224),
                            lambda side: OurStep(our_model("resnet18", (side, side, 3)), 8), lambda side: side * side),
}


def slope(costs: Mapping[float, float]) -> float:
    """Of the straight line through (log size, log cost), by least squares."""
    return float(np.polyfit(np.log(list(costs)), np.log(list(costs.values())), 1)[0])


def steepest(costs: Mapping[float, float]) -> float:
    """The largest slope between neighbours."""
    return max(math.log(d / b) / math.log(c / a) for (a, b), (c, d) in pairwise(sorted(costs.items())))


def measure(curve: Curve, options: Options) -> Measured:
    """All points take turns, so that a slow moment of the machine tilts no line."""
    values = curve.values[:-1] if options.quick else curve.values
    with tgc.settings(threads=options.threads):
        times = take_turns({str(value): curve.step(value) for value in values}, min(options.samples, 5))
    costs = {float(curve.size(value)): 1e3 * times[str(value)].minimum for value in values}
    said = ", ".join(f"{value}: {cost:.3g} ms" for value, cost in zip(values, costs.values()))
    return Measured({OURS: slope(costs), "limit": LIMIT}, notes=(f"{said}; steepest between neighbours {steepest(costs):.2f}",),
                    curve=tuple(costs.items()))


def works() -> list[Work]:
    """One for each curve."""
    return [Work(f"scaling {name}", lambda options, curve=curve: measure(curve, options), SLOPE) for name, curve in CURVES.items()]


def plot(rows: Sequence[Row], path: str | Path) -> None:
    """The curves as one picture, each with a line of slope 1 through its last point. ImportError without matplotlib."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker
    rows = [row for row in rows if row.curve]
    figure, panels = pyplot.subplots(1, len(rows), figsize=(4 * len(rows), 3.6), squeeze=False, layout="constrained")
    for row, panel in zip(rows, panels[0]):
        name = row.work.removeprefix("scaling ")
        sizes, costs = np.array(row.curve).T
        panel.loglog(sizes, costs, "o-", label=f"slope {row.ours:.2f}")
        panel.loglog(sizes, costs[-1] * sizes / sizes[-1], ":", color="grey", label="slope 1")
        panel.set(title=name, xlabel=CURVES[name].number, ylabel="ms for a training step")
        for axis in (panel.xaxis, panel.yaxis):                       # a curve need not hold a power of ten
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
            axis.set_minor_formatter(ticker.NullFormatter())
        panel.legend()
    figure.savefig(path, dpi=120)
