"""The table of what both sides have come to, and its JSON."""
from __future__ import annotations

from .case import Case, Progress


def table(case: Case, progress: dict[str, Progress]) -> str:
    """What both have come to: a line for each side, and how many times longer PyTorch took."""
    target = case.target
    to = [] if target is None else [f"time to {target:g} %", "at step"]
    heads = ["", *to, "last accuracy", "best", "training", "ms/step"]
    rows = []
    for name, at in progress.items():
        found = None if target is None else at.reached(target)
        last = f"{at.tests[-1].accuracy:.2f} %" if at.tests else ""
        best = f"{max(seen.accuracy for seen in at.tests):.2f} %" if at.tests else ""
        reached = [] if target is None else [f"{found.seconds:.2f} s", str(found.step)] if found else ["not reached", ""]
        rows.append([name, *reached, last, best, f"{at.seconds:.1f} s", f"{1e3 * at.seconds / at.steps:.2f}" if at.steps else ""])
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) if not i else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
             for row in [heads, *rows]]
    return "\n".join(line.rstrip() for line in [*lines, *ratios(case, progress)])


def ratios(case: Case, progress: dict[str, Progress]) -> list[str]:
    """PyTorch's time over ours, of the whole training, and to the target."""
    (_, ours), *others = progress.items()
    lines = []
    for name, at in others:
        parts = [f"training × {at.seconds / ours.seconds:.2f}"] if ours.seconds and at.steps == ours.steps else []
        if case.target is not None and (mine := ours.reached(case.target)) and (theirs := at.reached(case.target)):
            parts.insert(0, f"to {case.target:g} % × {theirs.seconds / mine.seconds:.2f}")
        lines += [f"{name} over ours: {', '.join(parts)}"] if parts else []
    return lines


def as_json(case: Case, about: dict[str, object], progress: dict[str, Progress]) -> dict[str, object]:
    """The form that --json writes."""
    sides = {}
    for name, at in progress.items():
        found = None if case.target is None else at.reached(case.target)
        sides[name] = {"seconds": at.seconds, "steps": at.steps, "seconds_to_target": found and found.seconds,
                       "tests": [[seen.step, seen.seconds, seen.accuracy] for seen in at.tests]}
    return {"model": case.model, "data": case.data, "recipe": case.recipe, "target": case.target, **about, "sides": sides}
