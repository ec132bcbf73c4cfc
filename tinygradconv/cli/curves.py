"""tinygradconv curves: what runs have seen, drawn over one another."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Its parser."""
    curves = commands.add_parser("curves", help="loss, accuracies and learning rate of runs, drawn over one another",
                                 description="Loss, accuracies and learning rate of one run or of several, laid over one another.")
    curves.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="the folder of a run")
    curves.add_argument("-o", "--out", metavar="FILE", type=Path, action="append",
                        help="where to draw: a name that ends in .png, .svg or .pdf; may be given again. Default, for one run: "
                             "RUN/curves.png and RUN/curves.svg")
    curves.add_argument("--names", metavar="NAME", nargs="+", help="what the runs are called; default: as their folders are")
    curves.add_argument("--over", choices=("epoch", "step", "time"), default="epoch", help="what lies across; default: epoch")
    curves.add_argument("--title", metavar="TEXT", help="above it; default: for one run its model, data set, recipe and seed")
    curves.set_defaults(parser=curves, run=run)


def run(asked: argparse.Namespace) -> int:
    """Draw; the exit code."""
    if asked.out is None and len(asked.runs) > 1:
        asked.parser.error("say where to draw several runs: --out FILE.png")
    if asked.names is not None and len(asked.names) != len(asked.runs):
        asked.parser.error(f"--names must be as many as the runs ({len(asked.runs)}), got {len(asked.names)}")
    from tinygradconv.train.curves import draw, heading
    from tinygradconv.train.history import History
    from tinygradconv.train.snapshot import Run
    names = asked.names or [None] * len(asked.runs)
    histories = [History.read(folder, name) for folder, name in zip(asked.runs, names)]
    title = asked.title
    if title is None:
        title = heading(Run.open(asked.runs[0]).config) if len(asked.runs) == 1 and asked.runs[0].is_dir() else ""
    files = asked.out or [asked.runs[0] / "curves.png", asked.runs[0] / "curves.svg"]
    draw(histories, files, over=asked.over, title=title)
    print(f"wrote {' and '.join(map(str, files))}")
    return 0
