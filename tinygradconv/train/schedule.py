"""Schedules: the learning rate as a function of the step, counted from 0. A schedule remembers nothing, so a run can go on anywhere.

    constant     one rate
    steps        rate · factor^⌊t / every⌋: a stair
    drops        a stair with uneven steps: a factor at each milestone
    cosine       half a wave down, after a warm-up if wanted
    polynomial   rate · (1 − t/T)^power; a straight line with power 1
    linear       a straight line from one rate to another
    one_cycle    up and far down
    sequence     one schedule after another;  warm_up: a rise in a straight line, then another

PyTorch's `lr_scheduler` has the same curves; there they are objects with a state, and `scheduler.step()` moves them on.
"""
from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from tinygradconv.geometry import described, integer

from .checks import number

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """rate(t) = rate."""
    _positive("constant", rate)
    return lambda step: rate


def steps(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """rate(t) = rate · factor^⌊t / every⌋: a stair that goes down every so many steps."""
    _positive("steps", rate)
    integer("every", every, at_least=1, where="steps")
    number("steps", "factor", factor, above=0)
    return lambda step: rate * factor ** (step // every)


def drops(rate: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """rate(t) = rate · factor^k, where k of the `milestones` (steps, rising) are at or before t: the step schedule."""
    _positive("drops", rate)
    marks = tuple(milestones)
    if any(a >= b for a, b in zip(marks, marks[1:])) or not 0 < factor:
        raise ValueError(f"drops: milestones must rise and factor be above 0, got {marks} and {factor}")
    return lambda step: rate * factor ** bisect_right(marks, step)


def cosine(rate: float, steps: int, *, warm_up: int = 0, floor: float = 0.0) -> Schedule:
    """rate(t) = floor + ½ · (rate − floor) · (1 + cos(π · (t − warm_up) / (steps − warm_up))), after a straight rise.

    In the first `warm_up` steps it is rate · (t + 1) / warm_up; from step `steps` on it is `floor`. (Loshchilov and Hutter 2017,
    equation 5, without restarts; warm-up as in Goyal et al. 2017, section 2.2.)
    """
    _positive("cosine", rate)
    if steps < 1 or not 0 <= warm_up < steps or not 0 <= floor <= rate:
        raise ValueError(f"cosine: needs 0 ≤ warm_up < steps and 0 ≤ floor ≤ rate, "
                         f"got steps {steps}, warm_up {warm_up}, floor {floor}, rate {rate}")

    def at(step: int) -> float:
        if step < warm_up:
            return rate * (step + 1) / warm_up
        return _eased(rate, floor, min(1.0, (step - warm_up) / (steps - warm_up)))
    return at


def polynomial(rate: float, steps: int, *, power: float = 1.0, floor: float = 0.0) -> Schedule:
    """rate(t) = floor + (rate − floor) · (1 − t / steps)^power, and `floor` from step `steps` on. (LARS takes power 2, You et al. 2017.)"""
    _positive("polynomial", rate)
    integer("steps", steps, at_least=1, where="polynomial")
    number("polynomial", "power", power, above=0)
    number("polynomial", "floor", floor, at_least=0, at_most=rate)
    return lambda step: floor + (rate - floor) * (1 - min(step, steps) / steps) ** power


def linear(start: float, end: float, steps: int) -> Schedule:
    """rate(t) = start + (end − start) · t / steps, and `end` from step `steps` on."""
    for name, value in (("start", start), ("end", end)):
        number("linear", name, value, at_least=0)
    integer("steps", steps, at_least=1, where="linear")
    return lambda step: start + (end - start) * min(step, steps) / steps


def one_cycle(rate: float, steps: int, *, rise: float = 0.3, start: float = 0.04, end: float = 4e-6, straight: bool = False) -> Schedule:
    """From start · rate up to rate in the first share `rise` of the steps, then down to end · rate at the last, along half waves.

    Smith and Topin 2018, "Super-convergence", in PyTorch's form of two phases (there start is 1 / div_factor, and end is
    start / final_div_factor); `straight` takes straight lines. The top is at step rise · steps − 1, the end at steps − 1, and the rate
    stays there.
    ValueError: rise outside (0, 1), a top that is not after step 0 and before the last.
    """
    _positive("one_cycle", rate)
    integer("steps", steps, at_least=1, where="one_cycle")
    number("one_cycle", "rise", rise, above=0, below=1)
    for name, value in (("start", start), ("end", end)):
        number("one_cycle", name, value, at_least=0, at_most=1)
    top, last, between = rise * steps - 1, steps - 1, _straight if straight else _eased
    if not 0 < top < last:
        raise ValueError(f"one_cycle: the top, step rise · steps − 1 = {top:g}, must be after step 0 and before the last, {last}. "
                         f"Give more steps or another rise")

    def at(step: int) -> float:
        if step <= top:
            return between(start * rate, rate, step / top)
        return between(rate, end * rate, min(1.0, (step - top) / (last - top)))
    return at


def sequence(schedules: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """rate(t) = schedules[k](t − milestones[k − 1]), where k of the milestones (steps, rising) are at or before t.

    One schedule after another, each from its own step 0 on. ValueError: not one milestone between every two, or they do not rise.
    """
    parts, marks = tuple(schedules), tuple(milestones)
    if len(parts) != len(marks) + 1:
        raise ValueError(f"sequence: needs one milestone between every two schedules, "
                         f"got {len(parts)} schedules and {len(marks)} milestones")
    for part in parts:
        if not callable(part):
            raise TypeError(f"sequence: a schedule is a function of the step, got {described(part)}")
    for mark in marks:
        integer("a milestone", mark, at_least=1, where="sequence")
    if any(a >= b for a, b in zip(marks, marks[1:])):
        raise ValueError(f"sequence: milestones must rise, got {marks}")
    starts = (0, *marks)

    def at(step: int) -> float:
        k = bisect_right(marks, step)
        return parts[k](step - starts[k])
    return at


def warm_up(schedule: Schedule, steps: int, *, start: float = 0.1) -> Schedule:
    """A straight rise from start · schedule(0) to schedule(0) in so many steps, and then the schedule from its beginning.

    (Goyal et al. 2017, section 2.2, "gradual warmup".)
    """
    if not callable(schedule):
        raise TypeError(f"warm_up: a schedule is a function of the step, got {described(schedule)}")
    integer("steps", steps, at_least=1, where="warm_up")
    number("warm_up", "start", start, at_least=0, at_most=1)
    first = schedule(0)
    return sequence([linear(start * first, first, steps), schedule], [steps])


def _positive(where: str, rate: float) -> None:
    number(where, "rate", rate, above=0)


def _eased(start: float, end: float, done: float) -> float:
    """Between two rates along half a wave of the cosine; `done` goes from 0 to 1."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * done))


def _straight(start: float, end: float, done: float) -> float:
    """Between two rates along a straight line."""
    return start + (end - start) * done
