"""The pictures of a report, as PNG and SVG, where matplotlib is installed."""
from __future__ import annotations

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tinygradconv.interop.files import write_whole
from tinygradconv.train.panels import COLOURS, STYLE

if TYPE_CHECKING:
    from .place import Place
    from .results import Results

MISSING = "they need matplotlib: pip install 'tinygradconv[viz]'"
SIZE = 7.2, 4.4                  # inches
DOTS = 150                       # per inch, of a PNG


def draw(place: Place, results: Results) -> list[str]:
    """Write NAME.png and NAME.svg of each picture of the form; their names: none without matplotlib, or before anything is known."""
    if not place.form.pictures or find_spec("matplotlib") is None:
        return []
    if not any(run.points for run in results.runs.values()) and not results.measured:
        return []
    from matplotlib import cycler, style
    from matplotlib.figure import Figure
    for name, paint in place.form.pictures.items():
        with style.context(["default", STYLE]):
            figure = Figure(figsize=SIZE, layout="constrained")
            axes = figure.add_subplot()
            axes.set_prop_cycle(cycler(color=COLOURS))
            paint(axes, place, results)
            for ending, options in (("png", {"dpi": DOTS}), ("svg", {"metadata": {"Date": None}})):
                file = io.BytesIO()
                figure.savefig(file, format=ending, **options)
                write_whole(place.folder / f"{name}.{ending}", file.getvalue())
    return list(place.form.pictures)


def curves(axes: Any, place: Place, results: Results) -> None:
    """Error against epoch, a colour for each network: test solid, training dashed (He et al. 2016, figure 6)."""
    for net in place.form.nets:
        points = results.runs[net.key].points if net.key in results.runs else ()
        if points:
            (line,) = axes.plot([p.epoch for p in points], [p.error for p in points], label=net.title, marker="o", markersize=2.5)
            known = [p for p in points if p.train_error is not None]
            axes.plot([p.epoch for p in known], [p.train_error for p in known], "--", color=line.get_color(), linewidth=0.9)
    axes.set(xlabel="epoch", ylabel="error in %, test solid, training dashed", title=place.experiment.title)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False)


def bars(axes: Any, place: Place, names: list[str], values: list[float], label: str) -> None:
    """A horizontal bar for each name, the first on top."""
    axes.barh(names, values, height=0.6)
    axes.invert_yaxis()
    for at, value in enumerate(values):
        axes.text(value, at, f" {value:.3g}", va="center")
    axes.set(xlabel=label, title=place.experiment.title)
