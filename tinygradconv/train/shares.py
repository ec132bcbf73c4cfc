"""Schedules by name, told in shares of a training, so that a recipe keeps its shape when it is made longer or shorter.

    constant
    cosine       floor=0.0                            down to floor · rate
    drops        at=(0.5, 0.75), factor=0.1           times the factor, or its own, after each of these shares of the steps
    steps        every, factor=0.1                    times the factor after every so many epochs
    polynomial   power=1.0, floor=0.0                 down to floor · rate
    one-cycle    rise=0.3, start=0.04, end=4e-6, straight=False

The curves themselves are in schedule.py.
"""
from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

from . import schedule
from .checks import number
from .schedule import Schedule


def _constant(rate: float, steps: int, epoch: float) -> Schedule:
    return schedule.constant(rate)


def _cosine(rate: float, steps: int, epoch: float, *, floor: float = 0.0) -> Schedule:
    return schedule.cosine(rate, steps, floor=number("a recipe: cosine", "floor", floor, at_least=0, at_most=1) * rate)


def _drops(rate: float, steps: int, epoch: float, *, at: Sequence[float] = (0.5, 0.75),
           factor: float | Sequence[float] = 0.1) -> Schedule:
    shares = [number("a recipe: drops", "at", share, above=0, below=1) for share in at]
    if sorted(set(shares)) != shares:
        raise ValueError(f"a recipe: drops: at must rise, got {tuple(at)}")
    marks = [int(share * steps) for share in shares]
    if not isinstance(factor, Sequence):
        return schedule.drops(rate, sorted({max(1, mark) for mark in marks}), factor)
    if len(factor) != len(shares):
        raise ValueError(f"a recipe: drops: factor must be one number, or one for each of the {len(shares)} shares of at, "
                         f"got {tuple(factor)}")
    rates = list(accumulate((number("a recipe: drops", "factor", each, above=0) for each in factor), mul, initial=rate))
    return lambda step: rates[bisect_right(marks, step)]


def _steps(rate: float, steps: int, epoch: float, *, every: float, factor: float = 0.1) -> Schedule:
    return schedule.steps(rate, max(1, round(number("a recipe: steps", "every", every, above=0) * epoch)), factor)


def _polynomial(rate: float, steps: int, epoch: float, *, power: float = 1.0, floor: float = 0.0) -> Schedule:
    return schedule.polynomial(rate, steps, power=power, floor=number("a recipe: polynomial", "floor", floor, at_least=0, at_most=1) * rate)


def _one_cycle(rate: float, steps: int, epoch: float, **options: Any) -> Schedule:
    return schedule.one_cycle(rate, steps, **options)


SCHEDULES: dict[str, Callable[..., Schedule]] = {"constant": _constant, "cosine": _cosine, "drops": _drops, "steps": _steps,
                                                 "polynomial": _polynomial, "one-cycle": _one_cycle}
NEEDED = {"steps": ("every",)}


def options_of(name: str) -> list[str]:
    """The names of the options of a schedule."""
    made = schedule.one_cycle if name == "one-cycle" else SCHEDULES[name]
    return [option.name for option in inspect.signature(made).parameters.values() if option.kind is option.KEYWORD_ONLY]


def named(name: str, rate: float, steps: int, epochs: int, *, warm_up: float = 0.0, warm_up_rate: float | None = None,
          **options: Any) -> Schedule:
    """The schedule of this name with `rate` at its top, for a training of so many steps in so many epochs.

    The share `warm_up` of the steps comes before it: in a straight line from 0 up to `rate`, or all at `warm_up_rate` where that is given
    (He et al. 2016, section 4.2, for 110 layers). The shares of the schedule are those of the steps that remain. ValueError for names,
    options and numbers that there are not.
    """
    if name not in SCHEDULES:
        raise ValueError(f"a recipe: schedule must be one of {', '.join(map(repr, SCHEDULES))}, got {name!r}")
    known = options_of(name)
    for option in options:
        if option not in known:
            raise ValueError(f"a recipe: the schedule {name!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")
    for option in NEEDED.get(name, ()):
        if option not in options:
            raise ValueError(f"a recipe: the schedule {name!r} needs the option {option!r}")
    rises = min(int(number("a recipe", "warm_up", warm_up, at_least=0, below=1) * steps), steps - 1)
    if warm_up and name == "one-cycle":
        raise ValueError("a recipe: the schedule 'one-cycle' begins with a rise of its own: leave out warm_up, and give it rise")
    if warm_up_rate is not None and not warm_up:
        raise ValueError(f"a recipe: warm_up_rate, {warm_up_rate!r}, is the rate of a warm-up, but warm_up is 0. Give the share of the "
                         f"steps that it takes, such as warm_up=0.05, or leave warm_up_rate out")
    after = SCHEDULES[name](rate, steps - rises, steps / epochs, **options)
    if warm_up_rate is not None:
        flat = schedule.constant(number("a recipe", "warm_up_rate", warm_up_rate, above=0, at_most=rate))
        return schedule.sequence([flat, after], [rises]) if rises else after
    return lambda step: rate * (step + 1) / rises if step < rises else after(step - rises)
