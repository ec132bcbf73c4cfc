"""Schedules: the learning rate as a function of the step, counted from 0. A schedule remembers nothing, so a run can go on anywhere."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tinygradconv.geometry import real

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """rate(t) = rate."""
    _positive("constant", rate)
    return lambda step: rate


def cosine(rate: float, steps: int, *, warm_up: int = 0, floor: float = 0.0) -> Schedule:
    """rate(t) = floor + ½ · (rate − floor) · (1 + cos(π · (t − warm_up) / (steps − warm_up))), after a straight rise.

    In the first `warm_up` steps it is rate · (t + 1) / warm_up; from step `steps` on it is `floor`. (Loshchilov and Hutter 2017,
    without restarts; warm-up as in Goyal et al. 2017.)
    """
    _positive("cosine", rate)
    if steps < 1 or not 0 <= warm_up < steps or not 0 <= floor <= rate:
        raise ValueError(f"cosine: needs 0 ≤ warm_up < steps and 0 ≤ floor ≤ rate, "
                         f"got steps {steps}, warm_up {warm_up}, floor {floor}, rate {rate}")

    def at(step: int) -> float:
        if step < warm_up:
            return rate * (step + 1) / warm_up
        done = min(1.0, (step - warm_up) / (steps - warm_up))
        return floor + 0.5 * (rate - floor) * (1 + math.cos(math.pi * done))
    return at


def drops(rate: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """rate(t) = rate · factor^k, where k of the `milestones` (steps, rising) are at or before t: the step schedule."""
    _positive("drops", rate)
    marks = tuple(milestones)
    if any(a >= b for a, b in zip(marks, marks[1:])) or not 0 < factor:
        raise ValueError(f"drops: milestones must rise and factor be above 0, got {marks} and {factor}")
    return lambda step: rate * factor ** sum(step >= mark for mark in marks)


def _positive(where: str, rate: float) -> None:
    if real("rate", rate, where=where) <= 0:
        raise ValueError(f"{where}: rate must be above 0, got {rate}")
