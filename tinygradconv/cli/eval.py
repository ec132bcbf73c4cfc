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
    """Print the accuracy, once; the exit code. Under mpirun every process tests its share of the images."""
    from tinygradconv.parallel import check_equal, ranks
    from tinygradconv.train import sessions
    with ranks() as group:
        check_equal(group, command={name: value for name, value in vars(asked).items() if name != "run"})
        session = sessions.joined(group, lambda: sessions.reopen(Path(asked.run_folder)))
        line = session.evaluate(asked.data_dir, weights=asked.weights, data=asked.data)
        if group.leads:
            print(line)
    return 0
