"""tinygradconv eval: the test accuracy of a run."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Its parser."""
    evaluate = commands.add_parser("eval", help="the test accuracy of a run",
                                   description="Test the last weights of a run on its test images.")
    evaluate.add_argument("run_folder", metavar="RUN", help="the folder of the run")
    evaluate.add_argument("--data-dir", metavar="ROOT", help="the folder that holds the data sets, where it has moved")
    evaluate.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the accuracy; the exit code."""
    from tinygradconv.train import sessions
    print(sessions.reopen(Path(asked.run_folder)).evaluate(asked.data_dir))
    return 0
