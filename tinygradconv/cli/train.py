"""tinygradconv train: train a model, or go on with a run that was stopped."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import integer


def add(commands: Any) -> None:
    """Its parser."""
    train = commands.add_parser("train", help="train a model, or go on with a run that was stopped",
                                description="Train MODEL, or go on with a run: the end has the same bits as if it had never stopped.")
    train.add_argument("model", metavar="MODEL", nargs="?", help="its name (tinygradconv models lists them)")
    train.add_argument("--resume", metavar="RUN", help="go on with the run in this folder (no MODEL)")
    train.add_argument("--data", metavar="NAME", help="the data set: digits (shipped; the default), mnist, fashion-mnist, cifar-10, "
                                                      "cifar-100, or a folder of images (DIR@64: at 64×64)")
    train.add_argument("--data-dir", metavar="ROOT", help="the folder that holds mnist/, …; default: TGC_DATA, then a cache folder")
    train.add_argument("--epochs", metavar="N", type=integer(1, 10**6),
                       help="how often all the training images are seen; default: the recipe's")
    train.add_argument("--batch-size", metavar="N", type=integer(1, 10**6), help="images per step; default: the recipe's")
    train.add_argument("--seed", metavar="N", type=integer(0), help="decides weights, order and distortions; default: 0")
    train.add_argument("--out", metavar="RUN",
                       help="the folder of the run, new or empty; default: runs/MODEL-DATA, with a number where that is taken")
    train.add_argument("--recipe", metavar="NAME", help="how to train; default: the best known for the model and the data set")
    train.add_argument("--tensorboard", action="store_true",
                       help="also write RUN/tensorboard, which `tensorboard --logdir RUN` shows (pip install 'tinygradconv[tensorboard]')")
    train.set_defaults(parser=train, run=run)


def run(asked: argparse.Namespace) -> int:
    """Train; the exit code."""
    if asked.resume is None and asked.model is None:
        asked.parser.error("name a MODEL, or a run by --resume")
    if asked.resume is not None:
        fixed = ("data", "epochs", "batch_size", "seed", "out", "recipe")
        settled = [f"--{name.replace('_', '-')}" for name in fixed if getattr(asked, name) is not None]
        if asked.model is not None or settled:
            asked.parser.error(f"--resume goes on with the run as it was begun: leave out {', '.join(settled) or asked.model}")
    from tinygradconv.train import sessions
    from tinygradconv.train.tensorboard import need_tensorboardx
    if asked.tensorboard:
        need_tensorboardx()                                      # before a folder is made
    if asked.resume is not None:
        return sessions.reopen(Path(asked.resume)).train(asked.data_dir, tensorboard=asked.tensorboard)
    return sessions.begin(asked.model, data=asked.data, data_dir=asked.data_dir, recipe=asked.recipe, epochs=asked.epochs,
                          batch_size=asked.batch_size, seed=asked.seed or 0, out=asked.out).train(tensorboard=asked.tensorboard)
