"""The whole comparison of two commits, in the order in which the gate makes it."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .build import Commit
from .findings import ELSEWHERE, KERNELS, TIME, Counters, Finding, acceptances, judged, rises
from .instructions import instructions
from .process import Worker
from .timing import Timing, timings

SAME = 0.001               # a share of the instructions that may differ in a work that did not change


@dataclass
class Report:
    """What was measured and found."""

    base: Commit
    head: Commit
    counters: tuple[Counters, Counters]
    findings: list[Finding] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)          # works of HEAD that BASE cannot run, and why

    @property
    def worse(self) -> list[Finding]:
        """The findings that no reason accepts."""
        return [finding for finding in self.findings if finding.reason is None]


def compare(base: Commit, head: Commit, repository: Path, *, only: str = "", everything: bool = False, count: bool = True,
            clock: bool = True, limit: float = 0.05, threads: int = 1, say: Callable[[str], None] = lambda line: None) -> Report:
    """Counters, instructions (where `count`), then times (where `clock`) of the works that changed, or of `everything`."""
    (base_counters, missing), (head_counters, _) = (_exact(commit, only) for commit in (base, head))
    modules: dict[str, set[str]] | None = None
    if count:
        say("instructions, under callgrind: a minute or two")
        modules = _count(base, head, base_counters, head_counters)
    report = Report(base, head, (base_counters, head_counters), missing={work: missing[work] for work in head_counters.keys() & missing})
    findings = rises(base_counters, head_counters)
    if clock:
        changed = _changed(report, modules)
        common = [work for work in head_counters if work in base_counters]
        works = common if everything else [work for work in common if changed(work)]
        report.timings = timings(base, head, works, limit=limit, threads=threads, say=say)
        findings += [Finding(row.work, TIME, 1.0, round(row.ratio, 3)) for row in report.timings if row.slower]
    report.findings = judged(findings, acceptances(head.name, repository))
    return report


def _exact(commit: Commit, only: str) -> tuple[Counters, dict[str, str]]:
    """The exact counters of each work whose name holds `only`; and what this commit cannot run, with its error."""
    counters: Counters = {}
    missing = {}
    with Worker(commit) as worker:
        for work in worker.ask("names"):
            if only in work:
                answer: dict[str, Any] = worker.ask("count", work=work)
                if "missing" in answer:
                    missing[work] = answer["missing"]
                else:
                    counters[work] = answer
    return counters, missing


def _count(base: Commit, head: Commit, base_counters: Counters, head_counters: Counters) -> dict[str, set[str]]:
    """Add the instructions of both commits, counted side by side, to their counters; {work: the compiled modules that it runs}."""
    def counted(pair: tuple[Commit, Counters]) -> dict[str, tuple[str, ...]]:
        commit, counters = pair
        counts = instructions(commit, list(counters))
        for work, found in counts.items():
            counters[work] |= {KERNELS: found.kernels, ELSEWHERE: found.others}
        return {work: found.modules for work, found in counts.items()}
    with ThreadPoolExecutor(2) as pool:
        used = list(pool.map(counted, [(base, base_counters), (head, head_counters)]))
    return {work: {module for modules in used for module in modules.get(work, ())} for work in head_counters}


def _changed(report: Report, modules: dict[str, set[str]] | None) -> Callable[[str], bool]:
    """Whether a counter of a work differs, or the machine code of a module that it runs; any work may have where nothing was counted."""
    if modules is None:
        return lambda work: report.base.name != report.head.name
    old, new = report.base.compiled(), report.head.compiled()
    rebuilt = {module for module in old.keys() | new.keys() if old.get(module) != new.get(module)}

    def changed(work: str) -> bool:
        before, after = (counters[work] for counters in report.counters)
        return (before.keys() != after.keys() or not rebuilt.isdisjoint(modules[work])
                or any(abs(after[name] - before[name]) > SAME * before[name] for name in before))
    return changed
