"""Repetition: neighbours that mean the same are drawn once, with their number."""
from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from .picture import Box, Fork, Item, Row, Side

LONGEST_PERIOD = 12


class Repeats:
    """Finds and folds repetitions; equal items get the same number, so that comparing two costs nothing however deep they are."""

    def __init__(self) -> None:
        self._numbers: dict[tuple, int] = {}

    def number(self, item: Item) -> int:
        """The number of all the items that mean the same as this one: names of scopes aside, and numbers of steps."""
        if isinstance(item, Box):
            key = ("box", item.key, item.times)
        elif isinstance(item, Row):
            key = ("row", item.times, item.framed, item.dashed, *map(self.number, item.items))
        elif isinstance(item, Fork):
            key = ("fork", item.residual, item.skips, self.number(item.join), *map(self.number, item.branches))
        else:
            key = ("side", self.number(item.head))
        return self._numbers.setdefault(key, len(self._numbers))

    def folded(self, items: Sequence[Item]) -> list[Item]:
        """The items, what repeats drawn once: of all periods the one that covers most, the shortest of equals."""
        numbers, made, at = [self.number(item) for item in items], [], 0
        while at < len(items):
            period, times = max(((period, _times(numbers, at, period)) for period in range(1, LONGEST_PERIOD + 1)),
                                key=lambda found: (found[0] * found[1] if found[1] > 1 else 0, -found[0]))
            if times == 1:
                made.append(items[at])
                at += 1
                continue
            made.append(_once([items[at + period * copy:at + period * (copy + 1)] for copy in range(times)]))
            at += period * times
        return made


def _times(numbers: Sequence[int], at: int, period: int) -> int:
    """How often the `period` items from `at` on stand there one after another."""
    end = at
    while end + period < len(numbers) and numbers[end] == numbers[end + period]:
        end += 1
    return 1 + (end - at) // period


def _once(copies: Sequence[Sequence[Item]]) -> Item:
    """Copies of a stretch of items as one: a box or a frame with their number."""
    merged = [_merged(same) for same in zip(*copies)]
    if len(merged) == 1 and isinstance(merged[0], Box) and merged[0].times == 1:
        return dataclasses.replace(merged[0], times=len(copies))
    if len(merged) == 1 and isinstance(merged[0], Row) and merged[0].times == 1:
        first, last = copies[0][0].label, copies[-1][0].label
        return dataclasses.replace(merged[0], label=first if first == last else f"{first} – {last}", times=len(copies))
    return Row(merged, times=len(copies))


def _merged(same: Sequence[Item]) -> Item:
    """Equal items as one that stands for the steps of all."""
    first = same[0]
    if isinstance(first, Box):
        return dataclasses.replace(first, steps=tuple(itertools.chain.from_iterable(box.steps for box in same)))
    if isinstance(first, Row):
        return dataclasses.replace(first, items=[_merged(each) for each in zip(*(row.items for row in same))])
    if isinstance(first, Fork):
        return dataclasses.replace(first, branches=[_merged(each) for each in zip(*(fork.branches for fork in same))],
                                   join=_merged([fork.join for fork in same]))
    return Side(_merged([side.head for side in same]))
