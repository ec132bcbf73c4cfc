"""tinygradconv summary: a network's layers in a table."""
from __future__ import annotations

import argparse
from typing import Any

from .arguments import integer
from .network import add_network, network
from .writing import add_formats, put, written

COLUMNS = """
For one image. MACs: multiply-accumulates; activation: memory of the output; kept: what the
backward pass needs, each array counted once; field: the cells of the input that one value
has seen; stride: how many of them apart neighbouring values look."""


def add(commands: Any) -> None:
    """Its parser."""
    summary = commands.add_parser("summary", help="a network's layers: shapes, parameters, MACs, memory",
                                  description="A network's layers in a table. Nothing is allocated, however large the network.")
    add_network(summary)
    summary.add_argument("--depth", metavar="N", type=integer(1),
                         help="one row for all the layers whose paths agree in their first N names; default: a row for each layer")
    add_formats(summary)
    summary.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the table; the exit code."""
    spec, shape = network(asked)
    table = spec.table(shape)
    if asked.depth is not None:
        table = table.collapsed(asked.depth)
    put(written(table, asked.format) + (f"\n{COLUMNS}" if asked.format is None else ""))
    return 0
