"""tinygradconv diagram: a network drawn, as SVG or as Mermaid text."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .network import add_network, network
from .writing import put


def add(commands: Any) -> None:
    """Its parser."""
    diagram = commands.add_parser("diagram", help="a network drawn, as SVG or as Mermaid text",
                                  description="A network drawn: boxes, skip connections and branches, shapes and parameters.")
    add_network(diagram)
    diagram.add_argument("--collapse", choices=("op", "scope", "none"), default="op",
                         help="what is one box: op, layers that run as one (the default); scope, a scope of the top level; none, a layer")
    diagram.add_argument("--direction", choices=("vertical", "horizontal"), default="vertical", help="where it flows; default: vertical")
    diagram.add_argument("--title", metavar="TEXT", help="what the picture is called by those who cannot see it; default: MODEL")
    diagram.add_argument("--mermaid", action="store_true", help="as Mermaid flowchart text, which GitHub draws")
    diagram.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to write it; default: standard output")
    diagram.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Write the drawing; the exit code."""
    from tinygradconv.interop.files import write_whole
    if asked.output is not None and not asked.mermaid and asked.output.suffix.lower() != ".svg":
        asked.parser.error(f"the drawing is SVG: give -o a name that ends in .svg, not {str(asked.output)!r}")
    spec, shape = network(asked)
    collapse = None if asked.collapse == "none" else asked.collapse
    if asked.mermaid:
        text = spec.mermaid(shape, collapse=collapse, direction=asked.direction)
    else:
        title = asked.title if asked.title is not None else Path(asked.model).stem
        text = spec.diagram(shape, collapse=collapse, direction=asked.direction, title=title).svg
    if asked.output is None:
        put(text)
    else:
        write_whole(asked.output, text.encode())
        print(f"wrote {asked.output}")
    return 0
