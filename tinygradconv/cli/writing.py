"""How tables are written: aligned text, or what --csv, --markdown, --latex and --json ask for."""
from __future__ import annotations

import argparse
from typing import Any

FORMATS = {"csv": "as CSV (RFC 4180): the numbers as they are, memory in bytes", "markdown": "as a Markdown table, as GitHub reads it",
           "latex": "as a LaTeX tabular; the document needs the package booktabs", "json": "as JSON"}


def add_formats(command: argparse.ArgumentParser) -> None:
    """--csv, --markdown, --latex or --json, of which at most one is given."""
    choice = command.add_mutually_exclusive_group()
    for name, said in FORMATS.items():
        choice.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=said)


def written(table: Any, name: str | None) -> str:
    """A Table or a Sheet in the format called `name`; None: as text."""
    return str(table) if name is None else getattr(table, f"to_{name}")()


def put(text: str) -> None:
    """Print `text`, which may end its last line itself, as CSV does."""
    print(text, end="" if text.endswith("\n") else "\n")
