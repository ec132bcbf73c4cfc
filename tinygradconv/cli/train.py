"""tinygradconv train: train a model, or go on with a run that was stopped."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import integer, number

SETTLED = ("data", "recipe", "seed", "out", "device")                      # when a run is begun; so are the fields of its recipe:
FIELDS = ("epochs", "batch_size", "rate", "ema", "clip", "accumulate", "patience", "sync_batch_norm")


def add(commands: Any) -> None:
    """Its parser."""
    train = commands.add_parser("train", help="train a model, or go on with a run that was stopped",
                                description="Train MODEL, or go on with a run: the end has the same bits as if it had never stopped.")
    train.add_argument("model", metavar="MODEL", nargs="?", help="its name (tinygradconv models lists them)")
    train.add_argument("--resume", metavar="RUN", help="go on with the run in this folder (no MODEL)")
    train.add_argument("--data", metavar="NAME", help="the data set: digits (shipped; the default), mnist, fashion-mnist, cifar10, "
                                                      "cifar100, or a folder of images (DIR@64: at 64×64)")
    train.add_argument("--data-dir", metavar="ROOT", help="the folder that holds mnist/, …; default: TGC_DATA, then a cache folder")
    train.add_argument("--recipe", metavar="NAME", help="how to train: paper (as in the model's paper), fast, adam or sgd; default: fast, "
                                                        "or adam where there is no fast one for the model and the data set")
    train.add_argument("--seed", metavar="N", type=integer(0), help="decides weights, order and augmentation; default: 0")
    train.add_argument("--out", metavar="RUN",
                       help="the folder of the run, new or empty; default: runs/MODEL-DATA, with a number where that is taken")
    train.add_argument("--device", choices=("cpu", "cuda"), help="where to learn: cuda is a GPU (tinygradconv doctor); default: cpu")
    _add_fields(train.add_argument_group("changes to the recipe"))
    train.add_argument("--workers", metavar="N", type=integer(0, 64),
                       help="threads that make batches while the model learns; 0: none. It changes no bit of the result; default: 0 for "
                            "batches of up to 256 KB, else 1")
    train.add_argument("--tensorboard", action="store_true",
                       help="also write RUN/tensorboard, which `tensorboard --logdir RUN` shows (pip install 'tinygradconv[tensorboard]')")
    train.set_defaults(parser=train, run=run)


def _add_fields(group: Any) -> None:
    group.add_argument("--epochs", metavar="N", type=integer(1, 10**6), help="how often all the training images are seen")
    group.add_argument("--batch-size", metavar="N", type=integer(1, 10**6), help="images for one update")
    group.add_argument("--rate", metavar="RATE", type=number, help="the highest learning rate")
    group.add_argument("--ema", metavar="DECAY", type=number, help="keep a running mean of the weights, such as 0.999, and test that")
    group.add_argument("--clip", metavar="NORM", type=number, help="make gradients smaller whose norm, of all together, is larger")
    group.add_argument("--accumulate", metavar="N", type=integer(1, 10**6), help="cut each batch into N parts, to need less memory")
    group.add_argument("--patience", metavar="N", type=integer(1, 10**6), help="stop after N epochs without a better test accuracy")
    group.add_argument("--sync-batch-norm", action="store_const", const=True,
                       help="under mpirun: batch norm by the statistics of the whole batch, not of each process's own rows")


def run(asked: argparse.Namespace) -> int:
    """Train; the exit code."""
    if asked.resume is None and asked.model is None:
        asked.parser.error("name a MODEL, or a run by --resume")
    if asked.resume is not None:
        settled = [f"--{name.replace('_', '-')}" for name in (*SETTLED, *FIELDS) if getattr(asked, name) is not None]
        if asked.model is not None or settled:
            asked.parser.error(f"--resume goes on with the run as it was begun: leave out {', '.join(settled) or asked.model}")
    from tinygradconv.parallel import check_equal, ranks
    from tinygradconv.train import sessions
    from tinygradconv.train.tensorboard import need_tensorboardx
    if asked.tensorboard:
        need_tensorboardx()                                      # before a folder is made
    with ranks() as group:
        check_equal(group, command={name: value for name, value in vars(asked).items() if name not in ("parser", "run")})
        group = _on(asked.device, group)
        session = sessions.joined(group, lambda: _session(asked, group.size))
        if asked.resume is not None:
            session.group = _on(session.device, group)
        return session.train(asked.data_dir, tensorboard=asked.tensorboard, workers=asked.workers)


def _on(device: str | None, group: Any) -> Any:
    """The group of ranks that learn on this device: on "cuda" each has a GPU of its own."""
    if device != "cuda" or group.size == 1:
        return group
    from tinygradconv.parallel.nccl import with_gpus
    return with_gpus(group)


def _session(asked: argparse.Namespace, ranks: int) -> Any:
    """The run that is asked for, begun or found."""
    from tinygradconv.train import sessions
    if asked.resume is not None:
        return sessions.reopen(Path(asked.resume))
    return sessions.begin(asked.model, data=asked.data, data_dir=asked.data_dir, recipe=asked.recipe, seed=asked.seed or 0, out=asked.out,
                          ranks=ranks, device=asked.device or "cpu", **{name: getattr(asked, name) for name in FIELDS})
