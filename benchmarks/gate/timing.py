"""Times of two commits, in turn: what disturbs one disturbs the other, and what looks worse is measured again before it is believed.

A round starts one process a commit (how a process's memory happens to lie can cost a work several per cent as long as it lives), both
on one core, and asks them in the order A B B A. Its ratio is the median over the pairs. An answer is processor time, in which other
jobs on that core do not count. On two cores shared with compilers at work, ratios of a commit with itself scatter by 1 to 2 % so; left
to move between the cores, or by minima in place of pairs, by 10 %. Works on several threads are not bound, and wait for a quiet machine.
"""
from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .build import Commit
from .process import Worker
from .sequential import SlowerTest

CALLS = 3                  # an answer is the quickest of so many calls
PAIRS = (8, 24)            # answers of each commit in one round, at least and at most
ROUND = 0.1                # seconds that a round of one work should take


@dataclass(frozen=True)
class Timing:
    """Seconds per call, the quickest that was seen of each; `ratio` head / base is the median over the rounds."""

    work: str
    base: float
    head: float
    ratio: float
    rounds: int
    slower: bool


def timings(base: Commit, head: Commit, works: list[str], *, limit: float, threads: int = 1,
            say: Callable[[str], None] = lambda line: None) -> list[Timing]:
    """Each work's times, after as many rounds as its own test asks for."""
    tests = {work: SlowerTest(limit) for work in works}
    quickest: dict[str, tuple[float, float]] = {}
    while pending := [work for work in works if not tests[work].verdict]:
        number = max(len(test.ratios) for test in tests.values())
        say(f"timing, round {1 + number}: {len(pending)} works")
        with one_core(number, bind=threads == 1), Worker(base, threads=threads) as a, Worker(head, threads=threads) as b:
            for work in pending:
                pairs = one_round(a, b, work)
                tests[work].add(statistics.median(head / base for base, head in pairs))
                quickest[work] = tuple(map(min, *pairs, quickest.get(work, pairs[0])))
    return [Timing(work, *quickest[work], statistics.median(test.ratios), len(test.ratios), test.verdict == "slower")
            for work, test in tests.items()]


def one_round(a: Worker, b: Worker, work: str) -> list[tuple[float, float]]:
    """Pairs of neighbouring answers, seconds."""
    once = max(worker.ask("time", work=work, calls=1) for worker in (a, b))
    count = round(ROUND / (2 * (CALLS + 1) * max(once, 1e-7)))
    pairs = []
    for number in range(min(max(count, PAIRS[0]), PAIRS[1])):
        times = {worker: worker.ask("time", work=work, calls=CALLS) for worker in ((a, b) if number % 2 == 0 else (b, a))}
        pairs.append((times[a], times[b]))
    return pairs


@contextlib.contextmanager
def one_core(number: int, *, bind: bool) -> Iterator[None]:
    """Within the block this process, and those that it starts, run on one core, another for each number; where that can be had."""
    if not bind or not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
