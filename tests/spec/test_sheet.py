"""Tables written for other programs: what they read is what was put in, whatever characters are in it."""
from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.spec.table import Column, Sheet

WORD, NUMBER = Column("word", "word"), Column("number", "number", "{:,}".format, numeric=True)
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
AWKWARD = r"50 % of R&D: $x_1 #2 {a} ~b ^c \d <e> |f| [g] *h* `i` 3×3·2 − ≈ → ⌊7/2⌋ ⌈⌉ ² ½ … – “q” ’ é"


@given(st.lists(st.tuples(words, st.integers(-10**12, 10**12) | st.none()), max_size=5))
def test_csv_reads_back_as_it_was(rows):
    text = Sheet((WORD, NUMBER), tuple(rows)).to_csv()
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [
        ["word", "number"], *([word, "" if number is None else str(number)] for word, number in rows)]
    assert text.endswith("\r\n")


@given(words)
def test_a_markdown_row_has_as_many_cells_as_columns(word):
    *_, row = Sheet((WORD, NUMBER), ((word, 1),)).to_markdown().split("\n")
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3


@pytest.mark.parametrize(("word", "markdown"), [
    ("a|b", r"a\|b"), (r"a\|b", r"a\\\|b"), ("layer1.0.conv_1", "layer1.0.conv_1"), ("_relu", r"\_relu"), ("*x*", r"\*x\*"),
    ("<b>", r"\<b>"), ("two\nlines", "two lines"),
])
def test_what_markdown_would_read_as_marks_is_escaped(word, markdown):
    assert f"| {markdown} |" in Sheet((WORD,), ((word,),)).to_markdown()


@pytest.mark.parametrize(("word", "latex"), [
    ("a_b & 50%", r"a\_b \& 50\%"), ("#1 {x}", r"\#1 \{x\}"), ("\\", r"\textbackslash{}"), ("3×3", r"3$\times$3"), ("$5", r"\$5"),
    ("a^b~c", r"a\textasciicircum{}b\textasciitilde{}c"), ("[1]", "{[}1]"),
])
def test_what_latex_would_read_as_commands_is_escaped(word, latex):
    assert Sheet((WORD,), ((word,),)).to_latex().splitlines()[4] == latex + r" \\"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles_in_a_document_with_booktabs(tmp_path):
    sheet = Sheet((WORD, Column("a wide one", "wide", width=20), NUMBER), ((AWKWARD, AWKWARD, 1), ("[", "*", 2)),
                  totals=(("all", None, 3),), title=AWKWARD, notes=(AWKWARD, "and another"))
    (tmp_path / "a.tex").write_text("\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
                                    + sheet.to_latex() + "\n\\end{document}\n", encoding="utf-8")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True,
                          timeout=100)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert "Missing character" not in (tmp_path / "a.log").read_text(errors="replace")


def test_as_json():
    sheet = Sheet((Column("shape", "shape"), Column("", "hidden"), NUMBER), (((28, 28, Fraction(1, 2)), "x", None),),
                  totals=((None, None, 3),), title="T", notes=("n",), name="t")
    assert json.loads(sheet.to_json()) == sheet.as_dict() == {
        "name": "t", "title": "T", "rows": [{"shape": [28, 28, 0.5], "hidden": "x", "number": None}],
        "totals": [{"shape": None, "hidden": None, "number": 3}], "notes": ["n"]}


def test_as_text():
    sheet = Sheet((Column("word", "word"), Column("", "hidden"), Column("why", "why", width=9), NUMBER),
                  (("a", "x", "because it is so", 1234), ("b", "x", None, None)), totals=(("sum", None, None, 0),), title="A title",
                  notes=("a note",))
    assert str(sheet) == """\
A title

word  why       number
──────────────────────
a     because    1,234
      it is so
b
──────────────────────
sum                  0

a note"""
