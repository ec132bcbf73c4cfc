"""The report as text and as JSON."""
from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .compare import Report
from .findings import TIME, Finding


def text(report: Report) -> str:
    """What the gate prints: times of what changed, what got worse, and the verdict."""
    lines = []
    if report.timings:
        lines += [f"{'work':44} {'base, µs':>10} {'head, µs':>10} {'head / base':>12} {'rounds':>7}"]
        lines += [f"{row.work:44} {row.base * 1e6:10.1f} {row.head * 1e6:10.1f} {row.ratio:12.3f} {row.rounds:7}{'  slower' * row.slower}"
                  for row in sorted(report.timings, key=lambda row: -row.ratio)]
    new = [work for work in report.missing]
    if new:
        lines += ["", f"{len(new)} works run at HEAD only, and are compared from the next commit on: {'; '.join(sorted(new))}"]
    accepted = [finding for finding in report.findings if finding.reason is not None]
    if accepted:
        lines += ["", "worse, for a reason:"] + [f"  {_line(finding)}   {finding.reason}" for finding in accepted]
    if report.worse:
        lines += ["", "worse:"] + [f"  {_line(finding)}" for finding in report.worse]
        lines += ["", "If that is the price of something, say so in benchmarks/gate/accepted.toml:", "", entry(report.worse[0])]
    works = len(report.counters[1])
    lines += ["", f"{report.base.name[:10]} → {report.head.name[:10]}: {works} works counted, {len(report.timings)} timed; "
              + (f"{len(report.worse)} findings" if report.worse else "nothing is worse")]
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    if finding.after == float("inf"):
        return f"{finding.work:44} {finding.counter}: was {finding.before:,}, can no longer be counted"
    share = f"+{finding.after / finding.before - 1:.1%}" if finding.before else "from nothing"
    number = "{:.3f}" if finding.counter == TIME else "{:,}"
    return f"{finding.work:44} {finding.counter}: {number.format(finding.before)} → {number.format(finding.after)} ({share})"


def entry(finding: Finding) -> str:
    """The lines of accepted.toml that would accept a finding."""
    return (f'[[accepted]]\nwork = "{finding.work}"\ncounter = "{finding.counter}"\nfrom = {finding.before}\nto = {finding.after}\n'
            f'reason = "…"')


def as_json(report: Report) -> dict[str, Any]:
    """{base, head, worse, findings, timings, counters, missing}, for programs."""
    return {"base": report.base.name, "head": report.head.name, "worse": len(report.worse),
            "findings": [asdict(finding) | {"after": None if finding.after == float("inf") else finding.after}
                         for finding in report.findings],
            "timings": [asdict(row) for row in report.timings],
            "counters": {"base": report.counters[0], "head": report.counters[1]}, "missing": report.missing}
