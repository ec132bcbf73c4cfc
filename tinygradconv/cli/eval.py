"""tinygradconv eval: the test accuracy of a run."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Its parser."""
    evaluate = commands.add_parser("eval", help="the test accuracy of a run",
                                   description="Test the last weights of a run on its test images: the line that its training ended with.")
    evaluate.add_argument("run_folder", metavar="RUN", help="the folder of the run")
    evaluate.add_argument("--weights", metavar="WHICH", help="last (the default), best (of the best epoch), ema (the running mean), raw "
                                                             "(those that the optimiser updates), or a .safetensors file")
    evaluate.add_argument("--data", metavar="NAME",
                          help="another data set, with images of the same size and as many classes; default: the run's")
    evaluate.add_argument("--data-dir", metavar="ROOT", help="the folder that holds the data sets, where it has moved")
    evaluate.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the accuracy; the exit code."""
    from tinygradconv.train import sessions
    print(sessions.reopen(Path(asked.run_folder)).evaluate(asked.data_dir, weights=asked.weights, data=asked.data))
    return 0
