"""How large everything is: boxes by their text, rows and forks by what they hold."""
from __future__ import annotations

from typing import NamedTuple

from .picture import Box, Fork, Item, Row, Side, boxes
from .text import width

TITLE, DETAIL = 13, 11                  # font sizes
LINE = {TITLE: 17, DETAIL: 14}          # heights of lines
PAD = 9                                 # between a box and its text
GAP = 20                                # between neighbours along the flow: room for an arrow
BUS = 9                                 # from a box to where its line divides
BESIDE = 18                             # between neighbours across the flow
FRAME_PAD, FRAME_LABEL = 10, 20         # inside a frame
SIDE_SLOT = 14                          # what a head's line takes of its row
ARC = 14                                # from a body to the shortcut around it
PILL = 26                               # the height of a join


class Extent(NamedTuple):
    """A length along the flow, and how far something reaches before and after its spine across it."""

    length: float
    before: float
    after: float


class ForkSizes(NamedTuple):
    """A fork: its extent, where its branches and its skip run across the flow, where its join begins, and the extent of that."""

    extent: Extent
    branches: tuple[float, ...]
    skip: float
    join: float
    box: Extent


class Line(NamedTuple):
    """A line of text in a box."""

    text: str
    size: int
    bold: bool

    @property
    def width(self) -> float:
        """At most."""
        return width(self.text, self.size, bold=self.bold)


def lines(box: Box, *, vertical: bool) -> list[Line]:
    """What is written in a box. Across the page boxes are narrow and tall: each fact has a line of its own."""
    titles = [box.title] if vertical or box.family == "scope" else box.title.split(", ", 1)
    if box.times > 1:
        titles[-1] += f"  ×{box.times}"
    count = f"{box.times} × {box.count}" if box.times > 1 and box.count else box.count
    if vertical or box.family == "join":
        details = [box.along, " · ".join(filter(None, (box.size, count)))]
    else:
        along = [box.along] if "[" in box.along else box.along.replace(" | ", " · ").split(" · ")
        details = [*along, box.size, count]
    if box.title.startswith("+"):
        titles, details = [box.title], []                  # a sum has the shape of what it adds
    return [*(Line(text, TITLE, True) for text in titles), *(Line(text, DETAIL, False) for text in details if text)]


class Measure:
    """The extents of a picture's items, each reckoned once. Across the flow all boxes but joins are equal, which makes it tidy."""

    def __init__(self, vertical: bool, row: Row, start: Box) -> None:
        self.vertical = vertical
        every = [box for box in (start, *boxes(row)) if box.family != "join"]
        texts = [lines(box, vertical=vertical) for box in every]
        self.wide = max(map(_wide, texts))
        self.high = max(map(_height, texts))
        self._made: dict[int, Extent] = {}
        self._forks: dict[int, ForkSizes] = {}
        self._slots: dict[int, list[tuple[Item, float]]] = {}
        self._beside: dict[int, float] = {}

    def box(self, box: Box) -> Extent:
        """A box that is no join of branches."""
        text = lines(box, vertical=self.vertical)
        if self.vertical:
            return Extent(_height(text), self.wide / 2, self.wide / 2)
        return Extent(_wide(text), self.high / 2, self.high / 2)

    def slots(self, row: Row) -> list[tuple[Item, float]]:
        """(item, where it begins) of a row; of a head, where its line leaves the row."""
        self.row(row)
        return self._slots[id(row)]

    def beside(self, side: Side) -> float:
        """How far from the spine of the row the spine of a head is."""
        return self._beside[id(side)]

    def item(self, item: Item) -> Extent:
        """Any item but a head."""
        if isinstance(item, Box):
            return self.box(item)
        return self.row(item) if isinstance(item, Row) else self.fork(item).extent

    def row(self, row: Row) -> Extent:
        """A row with its frame, if it has one."""
        if id(row) not in self._made:
            self._made[id(row)] = self._row(row)
        return self._made[id(row)]

    def _row(self, row: Row) -> Extent:
        begin = 0.0
        if row.framed:                                 # the line of a fork divides beside the label, before its first box
            begin = FRAME_PAD + 4.0 if not self.vertical or isinstance(row.items[0], Fork) else FRAME_LABEL + 4.0
        u, slots, is_first = begin, [], True
        for item in row.items:
            if isinstance(item, Side):
                u += SIDE_SLOT if not is_first else 4
                slots.append((item, u))
            else:
                u += GAP if not is_first else 0
                slots.append((item, u))
                u += self.item(item).length
            is_first = False
        self._slots[id(row)] = slots
        spans = [(start, start + self.item(item).length, self.item(item)) for item, start in slots if not isinstance(item, Side)]
        before, after = max((extent.before for *_, extent in spans), default=0.0), max((extent.after for *_, extent in spans), default=0.0)
        reach, end = self._heads(slots, [(start, stop, extent.after) for start, stop, extent in spans])
        after, u = max(after, reach), max(u, end)
        return self._framed(row, Extent(u, before, after)) if row.framed else Extent(u, before, after)

    def _heads(self, slots: list[tuple[Item, float]], spans: list[tuple[float, float, float]]) -> tuple[float, float]:
        """Give the heads of a row their places, the last first; (how far they reach across, where they end)."""
        reach = end = 0.0
        for item, fork in reversed(slots):
            if isinstance(item, Side):
                extent = self.row(item.head)
                stop = fork + SIDE_SLOT + extent.length
                taken = max((after for first, last, after in spans if first < stop + GAP and last > fork - GAP), default=0.0)
                self._beside[id(item)] = taken + BESIDE + extent.before
                spans.append((fork, stop, taken + BESIDE + extent.before + extent.after))
                reach, end = max(reach, spans[-1][2]), max(end, stop)
        return reach, end

    def _framed(self, row: Row, inner: Extent) -> Extent:
        label = width(row.heading, DETAIL, bold=True) + 2 * PAD
        if self.vertical:                              # the label stands in the corner, beside the line on the spine
            before = max(inner.before + FRAME_PAD, label + 4)
            return Extent(inner.length + FRAME_PAD, before, max(inner.after, 0.0) + FRAME_PAD)
        return Extent(max(inner.length + FRAME_PAD + 4, label), inner.before + FRAME_LABEL + FRAME_PAD / 2, inner.after + FRAME_PAD)

    def fork(self, fork: Fork) -> ForkSizes:
        """A fork, its branches and its join."""
        if id(fork) not in self._forks:
            self._forks[id(fork)] = self._residual(fork) if fork.residual else self._joined(fork)
        return self._forks[id(fork)]

    def _residual(self, fork: Fork) -> ForkSizes:
        body, *others = map(self.row, fork.branches)
        text = _up(max(PILL, *(line.width + 2 * PAD for line in lines(fork.join, vertical=self.vertical))))
        box = Extent(PILL, text / 2, text / 2) if self.vertical else Extent(text, PILL / 2, PILL / 2)
        beside = max(body.after, box.after) + (BESIDE + others[0].before if others else ARC)
        length = max(row.length for row in (body, *others))
        join = BUS + GAP + length + (GAP if length else 0)
        extent = Extent(join + box.length, max(body.before, box.before), beside + (others[0].after if others else 0))
        return ForkSizes(extent, (0.0, beside) if others else (0.0,), beside, join, box)

    def _joined(self, fork: Fork) -> ForkSizes:
        rows, places, v = [self.row(branch) for branch in fork.branches], [], 0.0
        for row in rows:
            places.append(v + row.before)
            v += row.before + row.after + BESIDE
        middle = (places[0] + places[-1]) / 2
        text = lines(fork.join, vertical=self.vertical)
        wide, high = _wide(text), _height(text)
        half = (places[-1] - places[0]) / 2 + BESIDE
        box = (Extent(high, max(half, wide / 2), max(half, wide / 2)) if self.vertical
               else Extent(wide, max(half, high / 2), max(half, high / 2)))
        join = BUS + GAP + max(row.length for row in rows) + GAP
        extent = Extent(join + box.length, max(middle, box.before), max(v - BESIDE - middle, box.after))
        return ForkSizes(extent, tuple(place - middle for place in places), 0.0, join, box)


def _height(text: list[Line]) -> float:
    return float(sum(LINE[line.size] for line in text) + 12)


def _wide(text: list[Line]) -> float:
    return max(64.0, _up(max(line.width for line in text) + 2 * PAD))


def _up(number: float) -> float:
    """Rounded up to an even number, so that halves are whole."""
    return float(-(-number // 2) * 2)


