"""`python -m benchmarks.gate.selftest [COMMIT]`: does the gate find what is planted, and keep quiet about what is not there?

For each of `plants.PLANTS`, COMMIT is compared with itself plus the plant; then COMMIT with itself, `--same` times, every work timed.
Exit status 1 where a plant was not found or a comparison with itself raised an alarm. It takes half an hour; nothing else need be quiet.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from .build import ROOT, Commit, GateError, built, cache_folder
from .compare import compare
from .findings import TIME
from .plants import PLANTS, Plant, planted
from .process import Worker
from .timing import one_core


def found(plant: Plant, commit: Commit, clone: Path, cache: Path) -> bool:
    """Plant, compare, print what was found."""
    with one_core(0, bind=True), Worker(commit) as worker:
        seconds = min(worker.ask("time", work=plant.work, calls=20) for _ in range(20))
    head = built(planted(plant, commit, seconds, clone), clone, cache)
    report = compare(commit, head, clone, only=plant.only)
    counted = [finding for finding in report.worse if finding.counter != TIME]
    slower = [row for row in report.timings if row.slower]
    row = next((row for row in report.timings if row.work == plant.work), None)
    own = next((finding for finding in counted if finding.work == plant.work), None)
    print(f"{plant.kind:8} {plant.work:42} counters: {len(counted):2} findings"
          f"{f', its own {own.counter} +{own.after / own.before - 1:.1%}' if own else ''}; "
          f"time: {len(slower):2} findings{f', its own {row.ratio - 1:+.1%} in {row.rounds} rounds' if row else ''}", flush=True)
    return bool(report.worse) and (plant.kind == "busy" or bool(slower))


def alarms(commit: Commit, repository: Path, count: bool) -> int:
    """The findings of one comparison of a commit with itself."""
    report = compare(commit, commit, repository, everything=True, count=count)
    ratios = sorted(row.ratio for row in report.timings)
    print(f"itself   {len(ratios)} works timed{', counted' if count else ''}: ratios {ratios[0]:.3f} to {ratios[-1]:.3f}, most rounds "
          f"{max(row.rounds for row in report.timings)}, {len(report.worse)} alarms", *report.worse, flush=True)
    return len(report.worse)


def main() -> int:
    """Run both parts; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate.selftest", description=__doc__.partition("\n")[0])
    parser.add_argument("commit", metavar="COMMIT", nargs="?", default="HEAD")
    parser.add_argument("--plants", metavar="TEXT", default="", help="only plants whose kind and work hold this; '-' for none")
    parser.add_argument("--same", type=int, default=20, help="comparisons of the commit with itself (default: %(default)s)")
    parser.add_argument("--counted", type=int, default=2, help="how many of them count instructions too (default: %(default)s)")
    parser.add_argument("--cache", metavar="FOLDER", type=Path, default=cache_folder())
    options = parser.parse_args()
    try:
        commit = built(options.commit, ROOT, options.cache)
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder, "clone")
            subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(clone)], check=True)
            chosen = [plant for plant in PLANTS if options.plants in f"{plant.kind} {plant.work}"]
            missed = [plant for plant in chosen if not found(plant, commit, clone, options.cache)]
        raised = sum(alarms(commit, ROOT, number < options.counted) for number in range(options.same))
    except GateError as problem:
        print(f"selftest: {problem}", file=sys.stderr)
        return 2
    print(f"missed: {', '.join(map(str, missed)) or 'none'}; alarms without cause: {raised}")
    return 1 if missed or raised else 0


if __name__ == "__main__":
    sys.exit(main())
