"""Times of two commits, in turn: what disturbs one disturbs the other, and what looks worse is measured again before it is believed.

A round starts one process a commit (how a process's memory happens to lie can cost a work several per cent as long as it lives), asks
them in the order A B B A, and takes the ratio of their quickest answers. On one thread an answer is processor time, in which the jobs
of others do not count; on several it is the time that passed.
"""
from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from .build import Commit
from .process import Worker
from .sequential import SlowerTest

SAMPLE = 3e-3              # seconds of one answer
PAIRS = 6                  # answers of each commit in one round


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
        say(f"timing, round {1 + max(len(test.ratios) for test in tests.values())}: {len(pending)} works")
        with Worker(base, threads=threads) as a, Worker(head, threads=threads) as b:
            for work in pending:
                times = one_round(a, b, work)
                tests[work].add(times[1] / times[0])
                quickest[work] = tuple(map(min, times, quickest.get(work, times)))
    return [Timing(work, *quickest[work], statistics.median(test.ratios), len(test.ratios), test.verdict == "slower")
            for work, test in tests.items()]


def one_round(a: Worker, b: Worker, work: str) -> tuple[float, float]:
    """The quickest answer of each process; both make the same number of calls, so many that an answer takes SAMPLE seconds."""
    first = max(a.ask("time", work=work, calls=1), b.ask("time", work=work, calls=1))
    calls = max(1, round(SAMPLE / max(first, 1e-7)))
    times: dict[Worker, list[float]] = {a: [], b: []}
    for pair in range(PAIRS):
        for worker in (a, b) if pair % 2 == 0 else (b, a):
            times[worker].append(worker.ask("time", work=work, calls=calls))
    return min(times[a]), min(times[b])
