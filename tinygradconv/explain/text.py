"""How the explanations write numbers, products, names and matrices: the way the lecture's slides do.

A number that is whole is written in full, any other with four significant digits; the minus sign is −, the product ·.
Rows and columns count from 1, as on the slides: X23 stands in row 2, column 3.
"""
from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 120
SIZE_RULE = "O has (N + 2P − F)/stride + 1 rows and columns (N: those of X, P: of padding on each side, F: of the window):"


def number(value: float) -> str:
    """`value` in full where it is whole, with four significant digits otherwise: −5, 0.3333, −∞."""
    whole = abs(value) < 1e15 and float(value).is_integer()
    return (str(int(value)) if whole else f"{value:.4g}").replace("-", "−").replace("inf", "∞")


def product(a: float, b: float) -> str:
    """a·b, with parentheses around a second factor that is negative: 8·(−1)."""
    second = number(b)
    return f"{number(a)}·({second})" if second.startswith("−") else f"{number(a)}·{second}"


def total(terms: Sequence[str]) -> str:
    """The terms with + between them, and parentheses around a number after a + that begins with a minus: −1·1 + (−1)·2 + (−3)."""
    return " + ".join([*terms[:1], *(re.sub("^−[^·]+", r"(\g<0>)", term) for term in terms[1:])])


def cell(symbol: str, row: int, column: int) -> str:
    """The name of a cell of a matrix, counted from 1: X23, or X12,3 where a count has two digits. `row` and `column` count from 0."""
    return f"{symbol}{row + 1}{',' if max(row, column) > 8 else ''}{column + 1}"


def wrapped(line: str) -> str:
    """`line` broken between words at 120 columns, continued after four spaces more than it begins with."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def matrix(rows: Iterable[Iterable[float]]) -> list[str]:
    """The rows of a matrix as lines of equal width, numbers flush right in their columns."""
    texts = [[number(value) for value in row] for row in rows]
    width = max(len(text) for row in texts for text in row)
    return ["  ".join(text.rjust(width) for text in row) for row in texts]


def beside(*blocks: Sequence[str] | str) -> list[str]:
    """Blocks of lines set side by side; a string (an operator, a title) stands in the middle row."""
    height = max(len(block) for block in blocks if not isinstance(block, str))
    columns = []
    for block in blocks:
        lines = [""] * ((height - 1) // 2) + [block] if isinstance(block, str) else list(block)
        width = max(map(len, lines))
        columns.append([line.ljust(width) for line in lines + [""] * (height - len(lines))])
    return ["   ".join(parts).rstrip() for parts in zip(*columns)]


def titled(title: str, block: Sequence[str]) -> list[str]:
    """A block of lines under a title."""
    return [title, *block]


def places(size: int, before: int, after: int, span: int, stride: int, count: int, ceil_mode: bool = False) -> str:
    """The lecture's (N + 2P − F)/stride + 1 with the numbers in it, rounded where the division leaves a rest."""
    padding = f"2·{before}" if before == after else f"{before} + {after}"
    rest = (size + before + after - span) % stride
    left, right = ("", "") if not rest else ("⌈", "⌉") if ceil_mode else ("⌊", "⌋")
    rounded_up = -(-(size + before + after - span) // stride) + 1
    dropped = ", less one that would start in the padding" if ceil_mode and count < rounded_up else ""
    return f"{left}({size} + {padding} − {span})/{stride}{right} + 1{dropped} = {count}"
