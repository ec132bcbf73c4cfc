"""What is drawn: boxes, rows of them, forks whose branches meet again, and heads at the side.

Every network of the language is series-parallel: `>>` makes a row, `|`, Sum and Residual make a fork, Aux makes a side. So the picture
is a tree, and a tree can be laid out by its own structure, in one pass, with no crossing.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple


class Source(NamedTuple):
    """Where an edge begins: a box, and whether it leads into a head for training."""

    box: Box
    dashed: bool = False


@dataclasses.dataclass(eq=False)
class Box:
    """One box: what is written in it, its family (palette.py), the families of what runs along with it, and the steps it stands for.

    `size` and `count` are the shape of the output and the number of parameters as text, empty where no shape is known. `times` is how many
    such boxes follow one another. `tip` names the layers in full.
    """

    title: str
    family: str
    steps: tuple[int, ...] = ()
    also: tuple[str, ...] = ()
    along: str = ""
    size: str = ""
    count: str = ""
    times: int = 1
    dashed: bool = False                     # it runs only in training, and has no frame that would say so
    tip: str = ""
    key: Any = None                          # equal for boxes that mean the same


@dataclasses.dataclass(eq=False)
class Row:
    """Items one after another; with a `label` or more than one of `times` there is a frame around them, `dashed` for training only."""

    items: list[Item]
    label: str = ""
    times: int = 1
    dashed: bool = False

    @property
    def framed(self) -> bool:
        """Whether a frame is drawn."""
        return bool(self.label) or self.times > 1

    @property
    def heading(self) -> str:
        """What is written on the frame."""
        if self.times == 1:
            return self.label
        return f"×{self.times}  ({self.label})" if self.label else f"×{self.times}"


@dataclasses.dataclass(eq=False)
class Fork:
    """The same input into every branch, and a box where they meet; `skips`: the input goes there too, past them (a Residual's shortcut)."""

    branches: list[Row]
    join: Box
    residual: bool = False
    skips: bool = False


@dataclasses.dataclass(eq=False)
class Side:
    """A head beside the row: what flows by goes into it as well."""

    head: Row


Item = Box | Row | Fork | Side


def boxes(item: Item) -> Iterator[Box]:
    """The boxes of an item, in the order of running."""
    if isinstance(item, Box):
        yield item
    elif isinstance(item, Row):
        for inner in item.items:
            yield from boxes(inner)
    elif isinstance(item, Fork):
        for branch in item.branches:
            yield from boxes(branch)
        yield item.join
    else:
        yield from boxes(item.head)


def edges(row: Row, box: Box) -> list[tuple[Box, Box, bool]]:
    """(from, to, dashed) of every edge of `row`, which `box` flows into."""
    made: list[tuple[Box, Box, bool]] = []

    def through(item: Item, source: Source) -> Source:
        """Add the edges of an item; returns where what leaves it comes from."""
        if isinstance(item, Box):
            made.append((source.box, item, source.dashed))
            return Source(item)
        if isinstance(item, Row):
            for inner in item.items:
                source = through(inner, source)
            return source
        if isinstance(item, Side):
            through(item.head, Source(source.box, True))
            return source
        ends = [through(branch, source) for branch in item.branches] + ([source] if item.skips else [])
        made.extend((end.box, item.join, end.dashed) for end in ends)
        return Source(item.join)

    through(row, Source(box))
    return made
