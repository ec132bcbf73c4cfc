"""Drawings of a network, folded from its steps: SVG with a layout of our own, and Mermaid text.

    trace.py      the steps of a spec, and the parts that they came from, without any shape
    fold.py       which steps share a box, what has a frame, what is drawn once with its number (repeat.py)
    picture.py    what is drawn: a tree of boxes, rows, forks and sides
    layout.py     where it goes (measure.py, text.py); svg.py and mermaid.py write it
"""
from __future__ import annotations

import dataclasses
import itertools
import math
import os
from pathlib import Path
from typing import Any

from tinygradconv.interop.files import write_whole

from ..base import Spec
from ..fields import input_shape
from ..infer import Network, infer
from ..table import times as by
from . import mermaid, svg
from .fold import Fold
from .layout import Layout
from .picture import Box, Row, boxes
from .trace import Trace

MOST_BOXES = 2_000
NAMED = 12                   # boxes that the description for screen readers names
COLLAPSE = ("op", "scope", None)
DIRECTIONS = ("vertical", "horizontal")


@dataclasses.dataclass(frozen=True)
class Diagram:
    """A drawing: `svg` is its text, a notebook shows it, `save(path)` writes it."""

    svg: str

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Diagram: {len(self.svg):,} characters of SVG; str(diagram) is the text, diagram.save('network.svg') writes it>"

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike) -> Path:
        """Write the SVG text to `path`, whole or not at all; returns the path. ValueError unless it ends in .svg."""
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"a diagram is saved as SVG, so its name must end in .svg; got {str(path)!r}. "
                             f"A browser can print it in other formats")
        write_whole(path, self.svg.encode())
        return path


def draw(spec: Spec, shape: Any, collapse: str | None, direction: str, title: str) -> Diagram:
    """The diagram of `spec`; see Spec.diagram."""
    row, start, network = _picture("diagram", spec, shape, collapse, direction)
    layout = Layout(row, start, vertical=direction == "vertical")
    facts = [f"{spec.count:,} layers" if spec.count > 1 else "1 layer"]
    if network is not None:
        parameters = sum(math.prod(parameter.shape) for parameter in network.parameters.values())
        macs = sum(step.macs for step in network.steps if not step.training_only)
        facts += [f"{parameters:,} parameters", f"{macs:,} multiply-accumulates"]
    words = [box.title for box in itertools.islice((box for box in boxes(row) if box.family != "join"), NAMED)]
    description = f"{', '.join(facts)}. From the input on: {', '.join(words)}{', …' if len(words) == NAMED else ''}."
    if any(edge.dashed for edge in layout.edges):
        facts.append("dashed: only in training")
    footer = " · ".join(facts).replace("multiply-accumulates", "MACs")
    return Diagram(svg.write(layout, title=title or "A neural network", description=description, footer=footer))


def text(spec: Spec, shape: Any, collapse: str | None, direction: str) -> str:
    """Mermaid text of `spec`; see Spec.mermaid."""
    row, start, _ = _picture("mermaid", spec, shape, collapse, direction)
    return mermaid.write(row, start, vertical=direction == "vertical")


def _picture(where: str, spec: Spec, shape: Any, collapse: str | None, direction: str) -> tuple[Row, Box, Network | None]:
    """(what is drawn, the box of the input before it, the network); ValueError where an option is unknown or there is too much to see."""
    if collapse not in COLLAPSE:
        raise ValueError(f"{where}: collapse must be 'op' (layers that run as one), 'scope' or None (every layer), got {collapse!r}")
    if direction not in DIRECTIONS:
        raise ValueError(f"{where}: direction must be 'vertical' or 'horizontal', got {direction!r}")
    checked = None if shape is None else input_shape("shape", shape)
    trace, network = Trace(spec), None
    if checked is None or len(trace.steps) > MOST_BOXES:       # shapes take time, and never make boxes fewer
        row = _folded(where, trace, None, collapse)
    if checked is not None:
        network = infer(spec, checked)
        row = _folded(where, trace, network, collapse)
    return row, Box("input", "input", size="" if checked is None else by(checked)), network


def _folded(where: str, trace: Trace, network: Network | None, collapse: str | None) -> Row:
    row = Fold(trace, network, collapse).picture()
    count = sum(1 for _ in boxes(row))
    if count > MOST_BOXES:
        cure = {None: "collapse='op' or 'scope'", "op": "collapse='scope'", "scope": "a part of it: spec.parts[0].diagram()"}[collapse]
        raise ValueError(f"{where}: {count:,} boxes are more than anyone can see, and at most {MOST_BOXES:,} are drawn. Ask for {cure}")
    return row
