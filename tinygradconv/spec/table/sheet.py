"""Tables for people and for programs: aligned text, Markdown and LaTeX; CSV and JSON. One writer for every table there is.

A Sheet holds values as they are (integers, percentages, shapes), and each Column knows how people read its values. So text says
18.4 KiB where CSV says 18816, and both come from one table.
"""
from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import re
import textwrap
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

NOTE_WIDTH = 100

# What LaTeX reads otherwise than as itself, in the oldest font encoding too. A bracket or a star would belong to the \\ before it.
LATEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
         "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''", "[": "{[}", "*": "{*}",
         "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "≈": r"$\approx$", "→": r"$\to$", "⌊": r"$\lfloor$", "⌋": r"$\rfloor$",
         "⌈": r"$\lceil$", "⌉": r"$\rceil$", "²": "$^2$", "½": r"$\frac12$", "…": r"\ldots{}", "–": "--", "“": "``", "”": "''", "’": "'"}


@dataclasses.dataclass(frozen=True)
class Column:
    """One column: the heading that people read (none: only programs see it), the name that programs read, and how a value is shown.

    `numeric` columns stand flush right; a column with a `width` is broken between words there.
    """

    heading: str
    name: str
    show: Callable[[Any], str] = str
    numeric: bool = False
    width: int = 0

    def text(self, value: Any) -> str:
        """A value as people read it; nothing for None."""
        return "" if value is None else self.show(value)


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Rows of values under columns, rows of totals below them, a title above and notes underneath.

    A value is an integer, a float, a Fraction, a string, a tuple of numbers (a shape) or None; `name` is what a program calls the table.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    totals: tuple[tuple[Any, ...], ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()
    name: str = ""

    def _read_by_people(self) -> tuple[list[Column], list[list[str]], list[list[str]]]:
        """(columns, rows, totals) as text, without the columns for programs. A sum of nothing is 0, where a row shows nothing."""
        shown = [(i, column) for i, column in enumerate(self.columns) if column.heading]
        rows = [[column.text(row[i]) for i, column in shown] for row in self.rows]
        totals = [[column.text(row[i]) or ("0" if row[i] == 0 else "") for i, column in shown] for row in self.totals]
        return [column for _, column in shown], rows, totals

    def __str__(self) -> str:
        columns, rows, totals = self._read_by_people()
        headings = [column.heading for column in columns]
        parts = [[line for cells in part for line in _broken(columns, cells)] for part in ([headings], rows, totals)]
        widths = [max(len(line[i]) for part in parts for line in part) for i in range(len(columns))]
        texts = [["  ".join(cell.rjust(width) if column.numeric else cell.ljust(width)
                            for cell, width, column in zip(line, widths, columns)).rstrip() for line in part] for part in parts]
        rule = "─" * max(len(line) for part in texts for line in part)
        lines = [*texts[0], rule, *texts[1], *([rule, *texts[2]] if texts[2] else [])]
        if self.title:
            lines = [self.title, "", *lines]
        if self.notes:
            lines += ["", *(line for note in self.notes for line in textwrap.wrap(note, NOTE_WIDTH))]
        return "\n".join(lines)

    def to_csv(self) -> str:
        """The values as they are under the columns' names, as RFC 4180 has it; a shape is 28x28x6. Title and notes are left out."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([column.name for column in self.columns])
        writer.writerows([[_plain(value) for value in row] for row in (*self.rows, *self.totals)])
        return text.getvalue()

    def to_markdown(self) -> str:
        """A table as GitHub reads it, numbers flush right, title and notes as paragraphs around it."""
        columns, rows, totals = self._read_by_people()
        lines = [[_markdown(column.heading) for column in columns], ["---:" if column.numeric else ":---" for column in columns],
                 *([_markdown(cell) for cell in cells] for cells in (*rows, *totals))]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([*([f"**{_markdown(self.title)}**"] if self.title else []), table, *map(_markdown, self.notes)])

    def to_latex(self) -> str:
        r"""A tabular for a document with \usepackage{booktabs}, title and notes as paragraphs around it."""
        columns, rows, totals = self._read_by_people()
        kinds = "".join("r" if column.numeric else f"p{{{column.width / 8:.1f}cm}}" if column.width else "l" for column in columns)
        parts = [[" & ".join(map(_latex, cells)) + r" \\" for cells in part] for part in ([[c.heading for c in columns]], rows, totals)]
        lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", *parts[0], r"\midrule", *parts[1],
                 *([r"\midrule", *parts[2]] if parts[2] else []), r"\bottomrule", r"\end{tabular}"]
        if self.title:
            lines = [rf"\par\noindent\textbf{{{_latex(self.title)}}}\par\smallskip\noindent", *lines]
        lines += [rf"\par\noindent {{\footnotesize {_latex(note)}\par}}" for note in self.notes]
        return "\n".join([*lines, r"\par\bigskip"] if self.title or self.notes else lines)

    def as_dict(self) -> dict[str, Any]:
        """{"name", "title", "rows": [{column: value}], "totals": [the same], "notes"}; a shape is a list."""
        names = [column.name for column in self.columns]
        rows, totals = ([{name: _listed(value) for name, value in zip(names, row)} for row in part] for part in (self.rows, self.totals))
        return {"name": self.name, "title": self.title, "rows": rows, "totals": totals, "notes": list(self.notes)}

    def to_json(self, *, indent: int | None = None) -> str:
        """as_dict() as JSON text."""
        return json.dumps(self.as_dict(), indent=indent)


def _broken(columns: Iterable[Column], cells: Iterable[str]) -> list[tuple[str, ...]]:
    """A row as lines of text: the cells of a column with a width go on in further lines."""
    blocks = [column.width and textwrap.wrap(cell, column.width) or [cell] for column, cell in zip(columns, cells)]
    return list(itertools.zip_longest(*blocks, fillvalue=""))


def _plain(value: Any) -> Any:
    """A value for CSV: None as nothing, a shape as 28x28x6."""
    if isinstance(value, tuple):
        return "x".join(str(_number(one)) for one in value)
    return "" if value is None else _number(value)


def _listed(value: Any) -> Any:
    """A value for JSON."""
    return [_number(one) for one in value] if isinstance(value, tuple) else _number(value)


def _number(value: Any) -> Any:
    """A fraction (the stride after a transposed convolution) as a float."""
    return float(value) if isinstance(value, Fraction) else value


def _markdown(text: str) -> str:
    """Text with what Markdown would read as marks escaped; an underscore within a word is none."""
    return re.sub(r"[\\|`*<\[]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", " ".join(text.split()))


def _latex(text: str) -> str:
    """Text with what LaTeX would read as commands escaped."""
    return "".join(LATEX.get(character, character) for character in text)
