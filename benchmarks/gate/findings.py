"""What got worse, and what of it a recorded reason accepts."""
from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .build import GateError, git

KERNELS, ELSEWHERE, TIME = "instructions in kernels", "instructions elsewhere", "time"
LIMITS = {KERNELS: 0.01, ELSEWHERE: 0.01}       # the rise that is still none; of all other counters, any
LEAST = {KERNELS: 2_000, ELSEWHERE: 2_000}      # instructions, about a microsecond: less is no finding, whatever its share
ACCEPTED = "benchmarks/gate/accepted.toml"

Counters = dict[str, dict[str, int]]            # {work: {counter: value}}


@dataclass(frozen=True)
class Finding:
    """A counter of one work that rose; `reason` says why that is accepted, if it is."""

    work: str
    counter: str
    before: float
    after: float
    reason: str | None = None


@dataclass(frozen=True)
class Acceptance:
    """One entry of accepted.toml."""

    work: str
    counter: str
    begin: float
    end: float
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether the rise lies within the entry's. Compilers differ, so instructions may pass its ends by their limit."""
        slack = LIMITS.get(finding.counter, 0.0)
        return (finding.counter == self.counter and fnmatch.fnmatchcase(finding.work, self.work)
                and finding.before >= self.begin * (1 - slack) and finding.after <= self.end * (1 + slack))


def acceptances(commit: str, repository: Path) -> list[Acceptance]:
    """The entries of the commit's accepted.toml, none where it has no such file; GateError names an entry that is not complete."""
    if not git(repository, "ls-tree", commit, "--", ACCEPTED).strip():
        return []
    text = git(repository, "show", f"{commit}:{ACCEPTED}").decode()
    try:
        return [_acceptance(entry) for entry in tomllib.loads(text).get("accepted", [])]
    except tomllib.TOMLDecodeError as problem:
        raise GateError(f"{ACCEPTED}: {problem}") from None


def _acceptance(entry: dict) -> Acceptance:
    wanted = {"work": str, "counter": str, "from": (int, float), "to": (int, float), "reason": str}
    wrong = [key for key, kind in wanted.items() if not isinstance(entry.get(key), kind)]
    if wrong or entry.keys() - wanted or not entry["reason"].strip():
        raise GateError(f"{ACCEPTED}: an entry has exactly work, counter, from, to and a reason; got {entry}")
    return Acceptance(entry["work"], entry["counter"], entry["from"], entry["to"], entry["reason"])


def rises(base: Counters, head: Counters) -> list[Finding]:
    """Every counter of BASE that is higher in HEAD, or that HEAD can no longer count (then its value is infinite)."""
    found = []
    for work, counters in base.items():
        for counter, before in counters.items():
            after = head.get(work, {}).get(counter, float("inf"))
            if after > before * (1 + LIMITS.get(counter, 0.0)) and after - before >= LEAST.get(counter, 0):
                found.append(Finding(work, counter, before, after))
    return found


def judged(findings: list[Finding], accepted: list[Acceptance]) -> list[Finding]:
    """The findings, with the reasons that accept them."""
    def reason(finding: Finding) -> str | None:
        return next((entry.reason for entry in accepted if entry.covers(finding)), None)
    return [Finding(f.work, f.counter, f.before, f.after, reason(f)) for f in findings]
