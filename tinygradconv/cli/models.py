"""tinygradconv models: the networks that there are."""
from __future__ import annotations

import argparse
from typing import Any

from .writing import add_formats, put, written


def add(commands: Any) -> None:
    """Its parser."""
    models = commands.add_parser("models", help="the networks that there are, with their inputs, parameters, MACs and papers",
                                 description="The networks that there are, each by the name that the other commands know it by.")
    add_formats(models)
    models.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the list; the exit code."""
    from tinygradconv.explain.lecture import cited, columns, counting
    from tinygradconv.models import MODELS
    from tinygradconv.spec.table import Sheet
    rows = []
    for name in MODELS:
        made = counting.network(name)
        paper = next(paper for family, paper in cited.PAPERS.items() if name.startswith(family))
        rows.append((name, made.input_shape, counting.parameters(made), counting.macs(made), *paper))
    heads = (columns.text("name", "name"), columns.shape("input", "input"), columns.number("parameters", "parameters"),
             columns.number("MACs", "macs"), columns.text("paper", "paper"), columns.text("", "title"))
    put(written(Sheet(heads, tuple(rows)), asked.format))
    return 0
