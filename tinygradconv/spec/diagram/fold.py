"""From a trace to a picture: which steps share a box, which parts have a frame, what is drawn once with its number."""
from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..combine import Aux, Chain, Scope, Share
from ..infer import INPUT, Network
from ..join import Concat, Residual, Sum
from ..plan import plan
from ..table import times as by
from .palette import family
from .picture import Box, Fork, Item, Row, Side, boxes
from .repeat import Repeats
from .trace import Part, Trace
from .words import said, summary

WITH_WEIGHTS = {"conv", "dense", "norm"}


class Fold:
    """Makes the picture of a trace; `network` is the same spec with shapes, None to draw the structure alone."""

    def __init__(self, trace: Trace, network: Network | None, collapse: str | None) -> None:
        self.trace, self.network, self.collapse = trace, network, collapse
        top = trace.root
        while len(top.parts) == 1 and isinstance(top.spec, (Chain, Scope, Share)):
            top = top.parts[0]
        self.folded = [part for part in _below(top) if is_folded(part)] if collapse == "scope" else []
        self._is_folded = {id(part) for part in self.folded}
        hidden = {step for part in self.folded for step in range(part.first, part.end)}
        self.groups = {group[0]: group for group in _groups(trace, collapse, hidden)}
        self._repeats = Repeats()

    def picture(self) -> Row:
        """The network as one row, without its input."""
        return Row(self._series([self.trace.root]))

    # Items of parts.
    def _series(self, parts: list[Part]) -> list[Item]:
        found: list[Item] = []
        for part in parts:
            found.extend(self._framed(part))
        return found if self.collapse is None else self._repeats.folded(found)

    def _framed(self, part: Part) -> list[Item]:
        """The items of a part of a row, in a frame if it has a name of its own and holds more than one box."""
        items = self._items(part)
        if not part.parts or not part.name or part.name.startswith("_") or id(part) in self._is_folded:
            return items
        if isinstance(part.spec, (Share, Aux)) or (part.name.isdecimal() and not isinstance(part.spec, (Chain, Scope))):
            return items
        if sum(1 for item in items for _ in boxes(item)) < 2:
            return items
        if len(items) == 1 and isinstance(items[0], Row):          # a scope of nothing but equal blocks has one frame: ×3 (layer1)
            return [dataclasses.replace(items[0], label=part.name)]
        return [Row(items, part.name)]

    def _items(self, part: Part) -> list[Item]:
        if id(part) in self._is_folded:
            return [self._folded_box(part)]
        if isinstance(part.spec, Aux):
            return [self._side(part)]
        if isinstance(part.spec, (Concat, Sum, Residual)):
            branches = [Row(self._series_of(branch)) for branch in part.parts]
            residual = isinstance(part.spec, Residual)
            return [Fork(branches, self._box(part.step), residual, residual and len(branches) == 1)]
        if part.parts:
            return self._series(part.parts)
        return [self._box(part.step)] if part.step in self.groups else []

    def _side(self, part: Part) -> Side:
        head, label = part.parts[0], f"{part.name or 'head'}, weight {part.spec.weight:g}"
        if id(head) in self._is_folded:
            return Side(Row([dataclasses.replace(self._folded_box(head), title=label, dashed=True)]))
        return Side(Row(self._series_of(head), label, dashed=True))

    def _series_of(self, part: Part) -> list[Item]:
        """The items of a branch or a head: its name is that of the fork, so it has no frame."""
        items = self._items(part)
        return items if self.collapse is None or part.parts else self._repeats.folded(items)

    # Boxes.
    def _box(self, head: int) -> Box:
        group = self.groups[head]
        layers = [self.trace.steps[step] for step in group]
        specs = tuple(layer.spec for layer in layers)
        families = [family(spec) for spec in specs]
        shared = layers[0].again and families[0] in WITH_WEIGHTS
        words = [said(spec) for spec in specs[1:]]
        title = " ".join(["+", *words]) if families[0] == "join" and said(specs[0]) == "+" else said(specs[0])
        along = [] if title.startswith("+") else words
        box = self._numbered(group[-1], group, title=title, family=families[0], also=tuple(families[1:]),
                             along=", ".join([*along, *(["weights shared"] if shared else [])]),
                             tip="\n".join(f"{layer.path}: {_code(layer)}" for layer in layers))
        box.key = (specs, shared, box.size, box.count)
        return box

    def _folded_box(self, part: Part) -> Box:
        content = summary(part)
        is_named = bool(part.name) and not part.name.isdecimal() and not part.name.startswith("_")
        layers = f"{part.end - part.first} layers"
        content = content if content and len(content) <= 52 else layers
        box = self._numbered(part.exit, tuple(range(part.first, part.end)), title=part.name if is_named else content, family="scope",
                             along=content if is_named else "", tip=f"{self.trace.steps[part.first].path} … "
                             f"{self.trace.steps[part.end - 1].path}: {layers}" if part.end > part.first else "")
        box.key = (part.spec, box.size, box.count)
        return box

    def _numbered(self, leaving: int, steps: tuple[int, ...], **more: Any) -> Box:
        """A box with the shape of what leaves step `leaving`, and the parameters whose first use is among its steps."""
        if self.network is None:
            return Box(steps=steps, **more)
        shape = self.network.input_shape if leaving == INPUT else self.network.steps[leaving].shape
        size = "" if more["family"] == "dense" else by(shape)              # its words say it
        owned = sum(math.prod(one.shape) for step in steps for one in self.network.steps[step].owned.values())
        return Box(steps=steps, size=size, count=f"{owned:,} params" if owned else "", **more)


def is_folded(part: Part) -> bool:
    """Whether collapse="scope" draws this part of the top level as one box: more than a row of layers, and its output is made in it."""
    is_row = isinstance(part.spec, (Chain, Scope, Share)) and not any(inner.parts for inner in part.parts)
    return bool(part.parts) and not is_row and part.first <= part.exit < part.end


def _below(top: Part) -> list[Part]:
    """The parts that collapse="scope" looks at: those of the top level, and the heads that stand beside them."""
    if not isinstance(top.spec, (Chain, Scope, Share)):
        return []
    return [part.parts[0] if isinstance(part.spec, Aux) else part for part in top.parts]


def _groups(trace: Trace, collapse: str | None, hidden: set[int]) -> list[tuple[int, ...]]:
    """Steps that share a box: those that the plan runs as one in evaluation; a join begins a box of its own, since branches meet there."""
    if collapse is None:
        return [(number,) for number in range(len(trace.steps))]
    found: list[tuple[int, ...]] = []
    for group in plan(trace, train=False).groups:
        steps = [step for step in group.steps if step not in hidden]
        cut = steps.index(group.add) if group.add in steps else 0
        found += [tuple(part) for part in (steps[:cut], steps[cut:]) if part]
    return found


def _code(layer: Any) -> str:
    return repr(layer.spec) if len(layer.inputs) == 1 else layer.kind
