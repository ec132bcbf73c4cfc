"""How two libraries are timed in one process.

Each has a pool of threads that goes on looking for work for some milliseconds after a call, on the very cores that the other's next call
needs. So between two calls of different sides there is a pause until the threads sleep; then one call that is not timed brings the
threads, the caches and the memory of this side back; then one call is timed. The sides take turns, so that a slow moment of the machine
hits all of them. The least time is what the work costs, the median what it cost today.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

SETTLE = 0.006               # seconds; GNU's OpenMP threads sleep after some 5 ms without work
SAMPLES = 9                  # at least
SHORT = 1.5                  # seconds: works that take less in all get more samples, as their minimum is found later
MOST_SAMPLES = 45


class Times(NamedTuple):
    """Of one side, in seconds."""

    minimum: float
    median: float


def take_turns(sides: Mapping[str, Callable[[], object]], samples: int = SAMPLES, *, clock: Callable[[], float] = time.perf_counter,
               pause: Callable[[float], object] = time.sleep) -> dict[str, Times]:
    """The times of each side's call, by name: at least `samples` of each, and up to five times as many while all are short."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    began, rounds = clock(), 0
    while rounds < samples or (rounds < min(5 * samples, MOST_SAMPLES) and clock() - began < SHORT):
        for name, call in sides.items():
            pause(SETTLE)
            call()
            start = clock()
            call()
            taken[name].append(clock() - start)
        rounds += 1
    return {name: Times(min(times), statistics.median(times)) for name, times in taken.items()}
