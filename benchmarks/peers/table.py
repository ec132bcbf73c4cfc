"""The table: a line for each work as it is measured, then a line for each bar."""
from __future__ import annotations

from collections.abc import Iterable

from .bars import Verdict
from .peak import Machine
from .work import MILLISECONDS, SLOPE, Row

WIDTHS = (31, 10, 30, 10, 6, 8, 9, 9, 9)
HEAD = ("work", "ours", "best peer", "", "ratio", "medians", "of peak", "GFLOP", "MB")
EXPLAINED = """\
Milliseconds (or what the line says), the least of all samples; ratio = best peer / ours, so larger is better; medians: their ratio.
of peak: how near the work is to what this machine can do, F by its multiply-adds or C by its copied bytes, whichever is the tighter limit
(more than 100 % where an algorithm needs fewer FLOPs than the definition, or where the values stay in a cache); GFLOP and MB: what the work
cannot do without."""


def line(cells: Iterable[str]) -> str:
    """Cells side by side: names to the left, numbers to the right."""
    return " ".join(cell.ljust(width) if i in (0, 2) else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, WIDTHS))).rstrip()


def head() -> str:
    """The first two lines."""
    return f"{line(HEAD)}\n{' '.join('-' * width for width in WIDTHS)}"


def number(value: float, unit: str) -> str:
    """Four digits, and the unit where it is not milliseconds."""
    digits = 3 if value < 10 else 2 if value < 100 else 1
    return f"{value:.{digits}f}{'' if unit in (MILLISECONDS, SLOPE) else f' {unit}'}"


def share_of_peak(row: Row, machine: Machine) -> str:
    """The floor's time over ours: '82 % F' where the multiply-adds limit it, '47 % C' where the bytes do."""
    by = {"F": row.floor.flops / machine.flops, "C": row.floor.nbytes / machine.bandwidth}
    limit = max(by, key=by.__getitem__)
    return f"{1e5 * by[limit] / row.ours:.0f} % {limit}" if by[limit] and row.unit == MILLISECONDS else ""


def row_line(row: Row, machine: Machine) -> str:
    """One work."""
    best, floor = row.best_peer, row.floor
    medians = row.ratio_of_medians
    return line((row.work, number(row.ours, row.unit), best or "", number(row.peers[best], row.unit) if best else "",
                 f"{row.ratio:.2f}" if best else "", f"{medians:.2f}" if medians else "", share_of_peak(row, machine),
                 f"{floor.flops / 1e9:.3g}" if floor.flops else "", f"{floor.nbytes / 1e6:.3g}" if floor.nbytes else ""))


def bar_lines(verdicts: Iterable[Verdict]) -> str:
    """One line for each bar: the value, the bar, the goal."""
    text = [f"{'what must hold':<42} {'':<14} {'ratio':>6} {'bar':>5} {'goal':>5}"]
    for verdict in verdicts:
        bar = verdict.bar
        several = f"  of {verdict.count}; the lowest is {verdict.lowest}" if verdict.count > 1 else ""
        text.append(f"{bar.says:<42} {bar.statistic if verdict.count > 1 else '':<14} {verdict.value:>6.2f} {bar.bar:>5} "
                    f"{bar.goal if bar.goal is not None else '':>5}  {verdict.word}{several}")
    return "\n".join(text)
