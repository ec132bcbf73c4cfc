"""Reads a diagram back from its SVG text and says what is wrong with it: `problems(svg, network)` is empty for a sound one."""
from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

import numpy as np

from tinygradconv.spec.diagram.text import width

SVG = "{http://www.w3.org/2000/svg}"
TITLE, DETAIL = 13, 11


class Rectangle(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Rectangle, slack: float = 0.15) -> bool:
        return (self.left <= other.left + slack and self.top <= other.top + slack
                and other.right <= self.right + slack and other.bottom <= self.bottom + slack)

    def meets(self, other: Rectangle, slack: float = 0.0) -> bool:
        return (self.left < other.right + slack and other.left < self.right + slack
                and self.top < other.bottom + slack and other.top < self.bottom + slack)


class Picture:
    """What an SVG shows, in its own coordinates: boxes with their steps and texts, frames with their headings, lines."""

    def __init__(self, svg: str) -> None:
        root = ElementTree.fromstring(svg)
        self.page = Rectangle(*map(float, root.get("viewBox").split()))
        self.boxes, self.steps, self.texts, self.frames, self.headings, self.lines = [], [], [], [], [], []
        group = root.find(f"{SVG}g")
        self.shift = tuple(map(float, re.findall(r"[-\d.]+", group.get("transform"))))
        for node in group:
            kind = node.get("class") or ""
            if node.tag == f"{SVG}g":
                self._box(node)
            elif "tgc-frame" in kind and node.tag == f"{SVG}rect":
                self.frames.append(_rectangle(node))
            elif "tgc-label" in kind:
                self.headings.append((node.text, _extent(node)))
            elif "tgc-edge" in kind:
                self.lines.append(_points(node.get("d")))
            elif "tgc-head" in kind:
                self.lines[-1][-1] = _points(node.get("d"))[0]
        self.legend = [_extent(node) for node in root.findall(f"{SVG}text")]

    def _box(self, node: ElementTree.Element) -> None:
        rectangles = [r for r in node.findall(f"{SVG}rect") if "tgc-shadow" not in r.get("class") and "tgc-band" not in r.get("class")]
        assert len(rectangles) == 1
        self.boxes.append(_rectangle(rectangles[0]))
        self.steps.append([int(step) for step in node.get("data-steps").split()])
        self.texts.append([(text.text, _extent(text)) for text in node.findall(f"{SVG}text")])


def _rectangle(node: ElementTree.Element) -> Rectangle:
    x, y, w, h = (float(node.get(name)) for name in ("x", "y", "width", "height"))
    return Rectangle(x, y, x + w, y + h)


def _extent(node: ElementTree.Element) -> Rectangle:
    """The room of a text: as wide as it may be, from the top of its letters to below the baseline."""
    kind = node.get("class") or ""
    size, bold = (TITLE, True) if "tgc-title" in kind else (DETAIL, "tgc-label" in kind)
    x, y, wide = float(node.get("x")), float(node.get("y")), width(node.text, size, bold=bold)
    left = x if "tgc-left" in kind else x - wide / 2
    return Rectangle(left, y - 0.78 * size, left + wide, y + 0.22 * size)


def _points(path: str) -> list[tuple[float, float]]:
    """The corners of a path of M, L and Q: a rounded corner as the corner that it rounds."""
    numbers = [(command, tuple(map(float, re.findall(r"-?[\d.]+", rest)))) for command, rest in re.findall(r"([MLQ])([^MLQZ]*)", path)]
    return [values[i:i + 2] for _, values in numbers for i in range(0, len(values), 2)]


def problems(svg: str, network) -> list[str]:
    """What is wrong with a drawing of `network`."""
    picture = Picture(svg)
    return [*_boxes(picture), *_texts(picture), *_frames(picture), *_lines(picture), *_steps(picture, network), *_edges(picture, network)]


def _boxes(picture: Picture) -> list[str]:
    found = []
    array = np.array(picture.boxes)
    for i, box in enumerate(picture.boxes):
        near = ((array[:, 0] < box.right + 6) & (box.left < array[:, 2] + 6) & (array[:, 1] < box.bottom + 6) & (box.top < array[:, 3] + 6))
        near[:i + 1] = False
        found += [f"boxes {i} and {j} overlap" for j in np.flatnonzero(near)]
    (dx, dy), page = picture.shift, picture.page
    for shape in [*picture.boxes, *picture.frames]:
        if not page.holds(Rectangle(shape.left + dx, shape.top + dy, shape.right + dx, shape.bottom + dy)):
            found.append("something is off the page")
    return found + [f"the legend's {text} is off the page" for text in picture.legend if not page.holds(text)]


def _texts(picture: Picture) -> list[str]:
    found = []
    for box, texts in zip(picture.boxes, picture.texts):
        found += [f"the text {text!r} does not fit in its box" for text, extent in texts if not box.holds(extent)]
        found += [f"{a!r} overlaps {b!r}" for (a, first), (b, second) in zip(texts, texts[1:]) if first.meets(second, -1.5)]
    for i, (text, extent) in enumerate(picture.headings):
        found += [f"the heading {text!r} overlaps a box" for box in picture.boxes if box.meets(extent)]
        found += [f"the heading {text!r} overlaps {other!r}" for other, at in picture.headings[i + 1:] if at.meets(extent)]
    found += ["two texts of the legend overlap" for i, a in enumerate(picture.legend) for b in picture.legend[i + 1:] if a.meets(b)]
    return found


def _frames(picture: Picture) -> list[str]:
    found = []
    for i, frame in enumerate(picture.frames):
        if not frame.holds(picture.headings[i][1]):
            found.append(f"the heading {picture.headings[i][0]!r} is outside its frame")
        found += ["a frame cuts a box" for box in picture.boxes if frame.meets(box) and not frame.holds(box)]
        found += ["frames cut one another" for other in picture.frames[i + 1:]
                  if frame.meets(other) and not frame.holds(other) and not other.holds(frame)]
    return found


def _lines(picture: Picture) -> list[str]:
    """Lines run along the axes, through no box and no heading, and cross no line that shares neither end with them."""
    found, stretches, owners = [], [], []
    for number, line in enumerate(picture.lines):
        for (x0, y0), (x1, y1) in zip(line, line[1:]):
            if min(abs(x0 - x1), abs(y0 - y1)) > 0.15:
                found.append(f"line {number} is slanted")
            stretches.append((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
            owners.append(number)
    if not stretches:
        return found
    array, owners = np.array(stretches), np.array(owners)
    inside = lambda r, slack: ((array[:, 0] < r[2] - slack) & (array[:, 2] > r[0] + slack)
                               & (array[:, 1] < r[3] - slack) & (array[:, 3] > r[1] + slack))
    for i, box in enumerate(picture.boxes):
        found += [f"line {owners[k]} runs through box {i}" for k in np.flatnonzero(inside(box, 0.2))]
    for text, extent in picture.headings:
        found += [f"line {owners[k]} runs through the heading {text!r}" for k in np.flatnonzero(inside(extent, 0.0))]
    ends = [ends_of(picture, line) for line in picture.lines]
    sources, targets = np.array(ends).T
    for k, stretch in enumerate(array):
        touching = inside(stretch, -0.2) & (sources[owners] != sources[owners[k]]) & (targets[owners] != targets[owners[k]])
        found += [f"line {owners[k]} crosses line {owners[other]}" for other in np.flatnonzero(touching)]
    return found


def ends_of(picture: Picture, line: list[tuple[float, float]]) -> tuple[int, int]:
    """The boxes on whose borders a line begins and ends; -1 for none."""
    array = np.array(picture.boxes)
    found = []
    for x, y in (line[0], line[-1]):
        touched = (array[:, 0] - 0.2 <= x) & (x <= array[:, 2] + 0.2) & (array[:, 1] - 0.2 <= y) & (y <= array[:, 3] + 0.2)
        found.append(int(np.flatnonzero(touched)[0]) if touched.sum() == 1 else -1)
    return found[0], found[1]


def _steps(picture: Picture, network) -> list[str]:
    drawn = sorted(step for steps in picture.steps for step in steps)
    every = list(range(len(network.steps)))
    return [] if drawn == every else [f"the steps drawn are {drawn}, not {every}"]


def _edges(picture: Picture, network) -> list[str]:
    """Every line is an edge of the network, and every edge a line, but for those from one copy of a repeated block to the next."""
    drawn = {ends_of(picture, line) for line in picture.lines}
    box_of = {step: i for i, steps in enumerate(picture.steps) for step in steps}
    box_of[-1] = 0                                                             # the input is the first box
    wanted = {(box_of.get(source, -2), box_of.get(number, -2)) for number, step in enumerate(network.steps) for source in step.inputs}
    wanted = {(a, b) for a, b in wanted if a != b}
    repeated = [frame for frame, (text, _) in zip(picture.frames, picture.headings) if text.startswith("×")]
    again = {(a, b) for a, b in wanted - drawn
             if any(frame.holds(picture.boxes[a]) and frame.holds(picture.boxes[b]) for frame in repeated)}
    return ([f"a line from box {a} to box {b} is no edge" for a, b in drawn - wanted]
            + [f"no line from box {a} to box {b}" for a, b in wanted - drawn - again])
