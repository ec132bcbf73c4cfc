"""tinygradconv summary: a model's layers in a table."""
from __future__ import annotations

import argparse
from typing import Any

from .arguments import shape

COLUMNS = """
For one image. MACs: multiply-accumulates; activation: memory of the output; kept: what the
backward pass needs, each array counted once; field: the cells of the input that one value
has seen; stride: how many of them apart neighbouring values look."""


def add(commands: Any) -> None:
    """Its parser."""
    summary = commands.add_parser("summary", help="a model's layers: shapes, parameters, MACs, memory",
                                  description="A model's layers in a table.")
    summary.add_argument("model", metavar="MODEL", help="lenet5, …")
    summary.add_argument("--input", metavar="HxWxC", type=shape, help="the shape of one image; default: the model's own")
    summary.add_argument("--json", action="store_true", help="as JSON")
    summary.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the table; the exit code."""
    from tinygradconv import models
    spec, default = models.get(asked.model)
    table = spec.table(asked.input or default)
    print(table.to_json() if asked.json else f"{table}\n{COLUMNS}")
    return 0
