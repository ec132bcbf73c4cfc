"""Where everything goes: the tree of the picture is measured from the leaves up, then placed from the input on.

All of it is reckoned along the flow (u) and across it (v), with the spine of each row at one v: down the page is (u, v) = (y, x), to the
right is (u, v) = (x, y). A row's items follow one another on its spine; the branches of a fork stand side by side; the shortcut of a
Residual runs beside its body; a head stands beside what follows it, as near to the spine as there is room.

    No edge crosses a box or another edge: branches are apart by their extents; an edge leaves the spine only in a gap between two items;
    and heads are placed from the last to the first, each further out than all later ones that it stands beside.
"""
from __future__ import annotations

import dataclasses

from .measure import BUS, GAP, SIDE_SLOT, Extent, Measure
from .picture import Box, Fork, Item, Row, Side

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Placed:
    """A box or a frame with its corner and its size on the page."""

    item: Box | Row
    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True)
class Edge:
    """A line of horizontal and vertical stretches from one box to another."""

    source: Box
    target: Box
    points: tuple[Point, ...]
    dashed: bool


@dataclasses.dataclass(frozen=True)
class _End:
    """A line that has left a box and not yet reached another."""

    box: Box
    points: tuple[Point, ...]
    dashed: bool = False

    def to(self, *points: Point) -> _End:
        return dataclasses.replace(self, points=(*self.points, *points))


class Layout:
    """The boxes, frames and edges of `row` and of the box `start` before it, and the size of the whole, from (0, 0) on."""

    def __init__(self, row: Row, start: Box, *, vertical: bool) -> None:
        self.vertical, self.measure = vertical, Measure(vertical, row, start)
        self.boxes: list[Placed] = []
        self.frames: list[Placed] = []
        self.edges: list[Edge] = []
        extent = self.measure.box(start)
        total = self.measure.row(row)
        self._shift = max(extent.before, total.before)
        end = self._box(start, 0, self._shift, None)
        self._row(row, extent.length + GAP, self._shift, end)
        along, across = extent.length + GAP + total.length, self._shift + max(extent.after, total.after)
        self.width, self.height = (across, along) if vertical else (along, across)

    def _place(self, item: Box | Row, u: float, v: float, extent: Extent) -> Placed:
        across = extent.before + extent.after
        x, y, w, h = (v - extent.before, u, across, extent.length) if self.vertical else (u, v - extent.before, extent.length, across)
        return Placed(item, x, y, w, h)

    def _close(self, end: _End, box: Box, *points: Point) -> None:
        turned = [(v, u) if self.vertical else (u, v) for u, v in _straight((*end.points, *points))]
        self.edges.append(Edge(end.box, box, tuple(turned), end.dashed))

    def _item(self, item: Item, u: float, v: float, end: _End) -> _End:
        if isinstance(item, Box):
            return self._box(item, u, v, end)
        return self._row(item, u, v, end) if isinstance(item, Row) else self._fork(item, u, v, end)

    def _box(self, box: Box, u: float, v: float, end: _End | None) -> _End:
        extent = self.measure.box(box)
        self.boxes.append(self._place(box, u, v, extent))
        if end is not None:
            self._close(end, box, (u, v))
        return _End(box, ((u + extent.length, v),))

    def _row(self, row: Row, u: float, v: float, end: _End) -> _End:
        extent = self.measure.row(row)
        if row.framed:
            self.frames.append(self._place(row, u, v, extent))
        for item, offset in self.measure.slots(row):
            if isinstance(item, Side):
                beside = v + self.measure.beside(item)
                fork = u + offset
                self._row(item.head, fork + SIDE_SLOT, beside, dataclasses.replace(end.to((fork, v), (fork, beside)), dashed=True))
            else:
                end = self._item(item, u + offset, v, end)
        return end.to((u + extent.length, v)) if row.framed or any(isinstance(item, Side) for item in row.items) else end

    def _fork(self, fork: Fork, u: float, v: float, end: _End) -> _End:
        sizes = self.measure.fork(fork)
        bus, start = u + BUS, u + BUS + GAP
        ends = []
        for branch, across in zip(fork.branches, sizes.branches):
            ends.append((self._row(branch, start, v + across, end.to((bus, v), (bus, v + across))), v + across))
        if fork.skips:
            across = v + sizes.skip
            ends.append((end.to((bus, v), (bus, across)), across))
        join = u + sizes.join
        extent = sizes.box
        self.boxes.append(self._place(fork.join, join, v, extent))
        for made, across in ends:
            if fork.residual and across != v:
                self._close(made, fork.join, (join + extent.length / 2, across), (join + extent.length / 2, v + extent.after))
            else:
                self._close(made, fork.join, (join, across))
        return _End(fork.join, ((join + extent.length, v),))


def _straight(points: tuple[Point, ...]) -> list[Point]:
    """The points without those that lie between their neighbours on a line."""
    kept: list[Point] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        while len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == point[axis] for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept


