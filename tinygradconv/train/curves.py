"""Curves of one run or of several laid over one another: loss, accuracies, learning rate; as PNG, SVG or PDF, drawn by matplotlib."""
from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygradconv.interop.files import write_whole

from .callbacks import Callback
from .history import History
from .panels import OVER, STYLE, figure_of
from .progress import say

if TYPE_CHECKING:
    from .snapshot import Run
    from .training import Training

# What a picture would say of when and by what it was made; without it the same rows give the same bytes.
NAMELESS: dict[str, dict[str, None]] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None},
                                        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
FALLBACK = "'DejaVu Sans', Verdana, sans-serif"        # in an SVG, whose reader may not have the first


class Curves(Callback):
    """Draws the curves of a run into its folder, curves.png and curves.svg, when training ends, however it ends.

    A run does not fail because of a picture: where there is no matplotlib, or no room on the disk, one line on standard error says so.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.files = run, [run.folder / f"curves{ending}" for ending in (".png", ".svg")]

    def end(self, training: Training) -> None:
        """Draw them, if there is a row to draw."""
        if training.position.rows:
            self._draw()

    def complete(self) -> None:
        """Draw those of a run that has ended where one is missing: it was killed after its last snapshot, or had no matplotlib."""
        if not all(file.is_file() for file in self.files):
            self._draw()

    def _draw(self) -> None:
        try:
            draw([History.read(self.run.folder)], self.files, title=heading(self.run.config))
        except Exception as problem:                   # whatever a library for drawing stumbles over
            say(f"no curves were drawn: {' '.join(str(problem).split()) or type(problem).__name__}")


def heading(config: Mapping[str, Any]) -> str:
    """What a picture of one run is called: its model, data set, recipe and seed; nothing where the run was begun without their names."""
    if not {"model", "data", "recipe", "seed"} <= set(config):
        return ""
    return f"{config['model']} on {Path(config['data']).name}, recipe {config['recipe']['name']}, seed {config['seed']}"


def draw(histories: Sequence[History], files: Sequence[Path], *, over: str = "epoch", title: str = "") -> None:
    """Loss, accuracies and learning rate of the runs, over "epoch", "step" or "time"; each file written beside and renamed.

    The same rows give the same bytes, for one version of matplotlib. ValueError: no runs, a file that is no .png, .svg or .pdf.
    ImportError: matplotlib is not installed.
    """
    if not histories:
        raise ValueError("draw: there must be at least one run")
    if over not in OVER:
        raise ValueError(f"draw: over must be {', '.join(map(repr, OVER))}, got {over!r}")
    for file in files:
        if file.suffix.lower() not in NAMELESS:
            raise ValueError(f"the name of a picture must end in {', '.join(NAMELESS)}, got {str(file)!r}")
    with _matplotlib():
        figure = figure_of(histories, over, title)
        for file in files:
            write_whole(file, _bytes(figure, file.suffix.lower(), title))


@contextmanager
def _matplotlib() -> Iterator[None]:
    """matplotlib in our style and in no other, and silent about its fonts and caches. ImportError names the extra."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        try:
            from matplotlib import style
        except ImportError:
            raise ImportError("curves are drawn by matplotlib: pip install 'tinygradconv[viz]'. Then `tinygradconv curves RUN` draws "
                              "them") from None
        with style.context(["default", STYLE]), warnings.catch_warnings(action="ignore"):          # a letter that its font lacks
            yield
    finally:
        logger.setLevel(level)


def _bytes(figure: Any, ending: str, title: str) -> bytes:
    into = io.BytesIO()
    said = {"Title": title} if title else {}
    figure.savefig(into, format=ending[1:], dpi=150, metadata={**NAMELESS[ending], **said})
    return into.getvalue().replace(b"'DejaVu Sans'", FALLBACK.encode()) if ending == ".svg" else into.getvalue()
