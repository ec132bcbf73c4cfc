"""The panels of a picture of training: each line has its name and last value at the right margin, where no data are."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .history import History

INK, PALE = "#3d4248", "#d9dde2"
# Of the darkness that letters need, and as unlike as can be to an eye without red, green or blue cones (a test measures both). Each line
# has its name at its end besides.
COLOURS = ("#0072b2", "#c04f00", "#000000", "#b40bfb", "#6b1f0b", "#230591")
STYLE = {"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "tinygradconv", "pdf.fonttype": 42,
         "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
         "xtick.color": INK, "ytick.color": INK, "axes.grid": True, "grid.color": PALE, "grid.linewidth": 0.6, "axes.axisbelow": True,
         "figure.dpi": 100}
SIZE = (7.6, 6.6)                 # inches
ROOM = 12.0                       # points between the panels and the names
GAP = 12.0                        # points from one name at the margin to the next, at least
DOTS = 40                         # rows up to which each is a dot
MARKS = "osD^v"                   # of the first six runs, of the next six, …: their lines are marked where colours come again
SETTLED = 0.25                    # the part of a run after which every accuracy is in the picture; before it a line may rise from below,
MANY = 20                         # if there are so many accuracies after it
LONGEST = 32                      # letters of a run's name
LOG_FROM = 10.0                   # largest loss / smallest from which the scale is logarithmic
OVER = {"epoch": "epoch", "step": "step", "time": "minutes of training"}


@dataclass(frozen=True, eq=False)
class Curve:
    """A run in a picture: its history, where its rows lie across, the colour and the mark of its line."""

    history: History
    x: np.ndarray
    colour: str
    mark: str

    @property
    def name(self) -> str:
        """Its name, cut where it is too long for the margin."""
        name = self.history.name
        return name if len(name) <= LONGEST else name[:LONGEST - 1] + "…"


@dataclass(frozen=True)
class Name:
    """What is written at the right margin beside the end of a line, at (x, y)."""

    text: str
    x: float
    y: float
    colour: str
    weight: str = "normal"


def figure_of(histories: Sequence[History], over: str, title: str) -> Any:
    """matplotlib's figure of these runs over "epoch", "step" or "time"."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from matplotlib.transforms import blended_transform_factory
    figure = Figure(SIZE)
    if title:
        figure.suptitle(title, x=0.01, y=0.985, ha="left", fontsize=11, fontweight="bold", parse_math=False)
    accuracy, loss, rate = figure.subplots(3, 1, sharex=True, height_ratios=(4, 3, 1.6))
    xs, said = across(histories, over)
    curves = [Curve(history, x, COLOURS[i % len(COLOURS)], MARKS[i // len(COLOURS) % len(MARKS)])
              for i, (history, x) in enumerate(zip(histories, xs))]
    names = {accuracy: _accuracies(accuracy, curves), loss: _losses(loss, curves)}
    for curve in curves:
        _line(rate, curve, curve.history.rate, dots=False)
    rate.set(ylabel="learning rate", xlabel=said, xlim=(0, 1.01 * max(float(x.max()) for x in xs)), ylim=(0, None))
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)
    if over != "time":
        rate.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    for panel in figure.axes:
        panel.yaxis.set_label_coords(0.02, 0.5, transform=blended_transform_factory(figure.transFigure, panel.transAxes))
    wide = max((_width(name) for written in names.values() for name in written), default=0.0)
    right = max(1 - (ROOM + wide + 4) / 72 / SIZE[0], 0.4)
    figure.subplots_adjust(left=0.105, right=right, bottom=0.075, top=0.93 if title else 0.96, hspace=0.12)
    for panel, written in names.items():
        _write(panel, written)
    return figure


def across(histories: Sequence[History], over: str) -> tuple[list[np.ndarray], str]:
    """(where each run's rows lie across, what the axis is called); in steps as long as a run has not ended its first epoch.

    ValueError: the times were not logged.
    """
    if over == "time":
        for history in histories:
            if np.isnan(history.seconds).any():
                raise ValueError(f"{history.name}: its log does not say when each row was written; draw it over epochs or steps")
        return [history.seconds / 60 for history in histories], OVER["time"]
    lengths = [history.epoch_steps for history in histories]
    if over == "step" or any(math.isnan(length) for length in lengths):
        return [history.step for history in histories], OVER["step"]
    same = f" ({lengths[0]:,.0f} steps each)" if len(set(lengths)) == 1 else ""
    return [history.step / length for history, length in zip(histories, lengths)], OVER["epoch"] + same


def _accuracies(panel: Any, curves: Sequence[Curve]) -> list[Name]:
    from matplotlib.lines import Line2D
    names, alone, trained = [], len(curves) == 1, False
    for curve in curves:
        history = curve.history
        end = _line(panel, curve, history.train_accuracy, dashed=True, pieces=True)
        if end is not None:
            trained = True
            if alone:
                names.append(Name(f"training {end[1]:.2f} %", *end, curve.colour))
        end = _line(panel, curve, history.accuracy)
        if end is not None:
            names.append(Name(f"{'test' if alone else curve.name} {end[1]:.2f} %", *end, curve.colour, weight="bold"))
    panel.set_ylabel("accuracy (%)")
    _rise(panel, curves)
    if names and trained and not alone:
        kinds = [Line2D([], [], color=INK, linewidth=1.8, label="test"),
                 Line2D([], [], color=INK, linewidth=1, linestyle=(0, (3, 2)), label="training")]
        panel.legend(handles=kinds, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.2)
    return names


def _losses(panel: Any, curves: Sequence[Curve]) -> list[Name]:
    names, found = [], []
    for curve in curves:
        end = _line(panel, curve, curve.history.loss, pieces=True)
        if end is not None:
            names.append(Name(f"{'' if len(curves) == 1 else curve.name + ' '}{end[1]:#.3g}", *end, curve.colour))
            found.append(curve.history.pieces(curve.history.loss)[1])
    values = np.concatenate(found) if found else np.ones(1)
    steep = values.min() > 0 and values.max() / values.min() >= LOG_FROM
    if steep:
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
    panel.set_ylabel("training loss" + (" (log scale)" if steep else ""))
    return names


def _rise(panel: Any, curves: Sequence[Curve]) -> None:
    """Let the accuracies begin below the panel, where that shows their ends at more than half again the size."""
    values, late = [], []
    for curve in curves:
        tested = np.flatnonzero(np.isfinite(curve.history.accuracy))
        for rows, found in ((tested, curve.history.accuracy[tested]), curve.history.pieces(curve.history.train_accuracy)):
            values += found.tolist()
            late += found[curve.x[rows] > SETTLED * curve.x[-1]].tolist()
    if len(late) >= MANY and max(values) - min(values) > 1.5 * (max(values) - min(late)):
        room = 0.06 * max(max(values) - min(late), 0.1)
        panel.set_ylim(min(late) - room, max(values) + room)


def _line(panel: Any, curve: Curve, values: np.ndarray, *, dashed: bool = False, dots: bool = True,
          pieces: bool = False) -> tuple[float, float] | None:
    """Draw the values that are numbers, or their means over `pieces`; (x, y) of the last."""
    rows = np.flatnonzero(np.isfinite(values))
    rows, y = curve.history.pieces(values) if pieces else (rows, values[rows])
    if not len(rows):
        return None
    x = curve.x[rows]
    few = len(x) <= DOTS
    mark = {"marker": curve.mark, "markersize": 2.5 if dashed else 3.5, "markevery": 1 if few else len(x) // 12}
    panel.plot(x, y, color=curve.colour, linewidth=1.0 if dashed else 1.8, linestyle=(0, (3, 2)) if dashed else "-",
               **(mark if (dots and few) or len(x) == 1 or curve.mark != MARKS[0] else {}))
    return float(x[-1]), float(y[-1])


def _width(name: Name) -> float:
    """The points that a name takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    plain = name.text.replace("$", "S")                  # dollars would be read as formulas
    return float(TextPath((0, 0), plain, STYLE["font.size"], FontProperties(weight=name.weight)).get_extents().x1)


def _write(panel: Any, names: Sequence[Name]) -> None:
    """Names at the right margin, as near to the ends of their lines as they can be without touching; a thin line leads to each."""
    if not names:
        return
    panel.get_ylim()                                     # so that it has them, which places depend on
    box = panel.get_position()
    width, height = box.width * SIZE[0] * 72, box.height * SIZE[1] * 72
    places = [panel.transAxes.inverted().transform(panel.transData.transform((name.x, name.y))) for name in names]
    rows = spread([float(y) * height for _, y in places], GAP, height)
    for name, row in zip(names, rows):
        panel.annotate(name.text, (name.x, name.y), (1 + ROOM / width, row / height), textcoords="axes fraction", color=name.colour,
                       va="center", fontweight=name.weight, annotation_clip=False, parse_math=False,
                       arrowprops={"arrowstyle": "-", "color": name.colour, "linewidth": 0.6, "linestyle": ":", "shrinkA": 1, "shrinkB": 0,
                                   "relpos": (0, 0.5)})


def spread(places: Sequence[float], gap: float, height: float) -> list[float]:
    """Numbers at least `gap` apart, in the order of `places` and as near to them as can be (Σ (new − old)² is least), from 0 to `height`.

    Less i·gap for the i-th the condition is that they do not fall, which is isotonic regression: neighbours that fall become their mean.
    Where there is no room for all, they go beyond `height` as little as can be.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    blocks: list[tuple[float, int]] = []                  # (mean, how many)
    for i, which in enumerate(order):
        mean, count = places[which] - i * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    highest = max(height - (len(places) - 1) * gap, 0.0)
    flat = [min(max(mean, 0.0), highest) for mean, count in blocks for _ in range(count)]
    found = [0.0] * len(places)
    for i, which in enumerate(order):
        found[which] = flat[i] + i * gap
    return found
