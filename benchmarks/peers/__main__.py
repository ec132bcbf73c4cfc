"""`python -m benchmarks.peers cpu`: measure ours and PyTorch in one process, print one table. It measures; it judges with --check only."""
from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from tinygradconv.settings import get as setting

from . import table
from .bars import judge
from .peak import Machine, examine
from .protocol import SAMPLES
from .torch_side import the_torch
from .work import Options, Row, Work, row_of
from .works import all_works


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Ours and PyTorch side by side, one table of ratios.")
    parser.add_argument("device", choices=["cpu", "gpu"], help="for gpu, see: python -m benchmarks.peers gpu --help")
    parser.add_argument("--only", metavar="PATTERN", default="", help="the works whose names this regular expression is found in")
    parser.add_argument("--list", action="store_true", help="name the works, and measure none")
    parser.add_argument("--threads", type=int, default=setting("threads"), help="on both sides (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each side, at least (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two samples, nothing compiled: to see that it runs")
    parser.add_argument("--no-compile", action="store_true", help="PyTorch without torch.compile")
    parser.add_argument("--patience", type=int, default=300, metavar="SECONDS", help="for one torch.compile (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the rows as a list of objects")
    parser.add_argument("--plot", metavar="FILE", help="write the scaling as a picture (needs matplotlib)")
    parser.add_argument("--others", action="store_true", help="also JAX, tinygrad, HIPS/autograd and NumPy, those that are installed")
    parser.add_argument("--check", action="store_true", help="exit with status 1 where a bar is missed")
    asked = parser.parse_args(given)
    if asked.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install '.[peers]'")
    return asked


def chosen(pattern: str, works: Sequence[Work]) -> list[Work]:
    """The works in whose name the regular expression is found."""
    found = [work for work in works if re.search(pattern, work.name)]
    if not found:
        raise SystemExit(f"--only {pattern!r} matches no work; --list names them")
    return found


def measure(works: Sequence[Work], options: Options, machine: Machine, say: Callable[[str], object] = print) -> tuple[list[Row], list[str]]:
    """(rows, what went wrong); each row is said as it is measured, and what is to be noted after the last."""
    rows, problems = [], []
    say(table.head())
    for work in works:
        try:
            rows.append(row_of(work, options))
        except Exception as problem:                 # one work that fails must not take the others with it
            problems.append(f"{work.name}: {type(problem).__name__}: {str(problem).partition(chr(10))[0][:300]}")
            say(f"{work.name} was not measured; see below")
        else:
            say(table.row_line(rows[-1], machine))
    notes = [f"{row.work}: {note}" for row in rows for note in dict.fromkeys(row.notes)]
    say("\n".join(["", table.EXPLAINED, "", *notes]).rstrip())
    return rows, problems


@contextlib.contextmanager
def equal_threads(threads: int):
    """PyTorch and NumPy's BLAS with as many threads as ours."""
    the_torch().set_num_threads(threads)
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        print("threadpoolctl is not installed (pip install '.[peers]'): NumPy's products have as many threads as its BLAS likes")
        yield
        return
    with threadpool_limits(threads, user_api="blas"):
        yield


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 where something was not measured or --check found a bar missed, 2 without PyTorch."""
    if (sys.argv[1:] if given is None else list(given))[:1] == ["gpu"]:
        from .gpu import main as on_gpu
        return on_gpu((sys.argv[1:] if given is None else list(given))[1:])
    asked = arguments(given)
    works = chosen(asked.only, all_works())
    if asked.list:
        print("\n".join(work.name for work in works))
        return 0
    compiles = not (asked.quick or asked.no_compile)
    options = Options(asked.threads, 2 if asked.quick else asked.samples, compiles, asked.patience, asked.quick)
    try:
        torch = the_torch()
    except ImportError as problem:
        print(problem, file=sys.stderr)
        return 2
    with equal_threads(options.threads):
        machine = examine(options.threads)
        print(f"tinygradconv and PyTorch {torch.__version__}, {machine}\n", flush=True)
        rows, problems = measure(works, options, machine, lambda text: print(text, flush=True))
        verdicts = judge(rows)
        print(f"\n{table.bar_lines(verdicts)}")
        if asked.others:
            from .others import compare
            compare(options, print)
    if asked.json:
        Path(asked.json).write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    if asked.plot and any(row.curve for row in rows):
        from .scaling import plot
        plot(rows, asked.plot)
    if problems:
        print("\n".join(["\nnot measured:", *problems]), file=sys.stderr)
    return int(bool(problems) or (asked.check and any(verdict.missed for verdict in verdicts)))


if __name__ == "__main__":
    sys.exit(main())
