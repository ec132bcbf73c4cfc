"""`python -m benchmarks.gate BASE HEAD`: exit status 0 where nothing is worse, 1 where something is, 2 where that could not be measured."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import report as reports
from .build import ROOT, GateError, built, cache_folder
from .compare import compare


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description="Did HEAD make anything slower or larger than BASE?")
    parser.add_argument("base", metavar="BASE", help="a commit: main~1, a tag, a hash")
    parser.add_argument("head", metavar="HEAD", nargs="?", default="HEAD", help="the commit to judge (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers there")
    parser.add_argument("--only", metavar="TEXT", default="", help="works whose names hold this: 'conv', 'pool', 'dispatch', …")
    parser.add_argument("--all", action="store_true", help="time every work, not only what changed")
    parser.add_argument("--no-instructions", dest="count", action="store_false", help="do without callgrind's count (and valgrind)")
    parser.add_argument("--no-timing", dest="clock", action="store_false", help="counters only")
    parser.add_argument("--limit", type=float, default=0.05, metavar="SHARE", help="slower by more is slower (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the timed works (default: %(default)s, in processor time)")
    parser.add_argument("--repository", metavar="FOLDER", type=Path, default=ROOT, help="where the commits are (default: this checkout)")
    parser.add_argument("--cache", metavar="FOLDER", type=Path, default=cache_folder(), help="where builds are kept (default: %(default)s)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the gate; returns the exit status."""
    options = parser().parse_args(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
    try:
        say("building what is not built yet")
        base, head = (built(revision, options.repository, options.cache) for revision in (options.base, options.head))
        report = compare(base, head, options.repository, only=options.only, everything=options.all, count=options.count,
                         clock=options.clock, limit=options.limit, threads=options.threads, say=say)
    except GateError as problem:
        say(f"gate: {problem}")
        return 2
    if not any(report.counters):
        say(f"gate: no work's name holds {options.only!r}")
        return 2
    print(reports.text(report))
    if options.json:
        options.json.write_text(json.dumps(reports.as_json(report), indent=1) + "\n")
    return 1 if report.worse else 0


if __name__ == "__main__":
    sys.exit(main())
