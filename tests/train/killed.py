"""The training that `kills` kills: LeNet-5 with batch norm and dropout on the shipped digits, and everything that a recipe can ask for.

As a program, `python -m tests.train.killed FOLDER [--call N] [--forget WHAT] [--images N]` trains in FOLDER, or goes on there, and writes a
last line with the number of its calls to the disk. With `--call` it kills itself with signal 9 instead of its N-th call (of a write: after
half of it); with `--forget` its snapshots lack something, so that its end differs, which the test of the test needs; with `--images` it
learns from so many of the digits only.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from itertools import islice
from pathlib import Path

import numpy as np

from tests.train import faults
from tinygradconv import data
from tinygradconv.data import DataSet, Loader, Split
from tinygradconv.data.augment import Distort, Mixup
from tinygradconv.spec import AvgPool, BatchNorm, Conv, Dense, Dropout, Flatten, Tanh
from tinygradconv.train import curves, loop, sessions
from tinygradconv.train.recipe import Recipe
from tinygradconv.train.snapshot import Run
from tinygradconv.train.training import Training

SPEC = (Conv(6, 5, padding=2) >> BatchNorm() >> Tanh() >> AvgPool(2) >> Conv(16, 5) >> Tanh() >> AvgPool(2) >> Flatten()
        >> Dense(120) >> Tanh() >> Dropout(0.2) >> Dense(84) >> Tanh() >> Dense(10))
RECIPE = Recipe("sgd", 0.05, epochs=2, batch_size=128, options={"momentum": 0.9, "nesterov": True, "decay": 5e-4}, schedule="one-cycle",
                smoothing=0.1, augment=Distort(rotation=0.3, scale=0.2, shear=0.3, shift=3.0) >> Mixup(0.4), clip=1.0, accumulate=2,
                ema=0.9, patience=3)
SAVE_EVERY = 0.0              # seconds: after every step, so that the calls to the disk are the same whatever the clock says

# What snapshots may forget, and how: each changes the state that a run goes on from.
FORGET = {
    "ema": lambda state: dataclasses.replace(state, ema={**state.ema, **{f"average.{path}": a for path, a in state.model.items()}}),
    "optimizer": lambda state: dataclasses.replace(state, optimizer={path: np.zeros_like(a) for path, a in state.optimizer.items()}),
    "counter": lambda state: dataclasses.replace(state, position=dataclasses.replace(state.position, counter=0)),
    "buffers": lambda state: dataclasses.replace(state, model={path: np.ones_like(a) if "running" in path else a
                                                               for path, a in state.model.items()}),
    "early stop": lambda state: dataclasses.replace(state, early_stop={"best": 100.0, "waited": 0}),
    "loader": lambda state: state,                         # see `forget`
}


def forget(what: str) -> None:
    """Snapshots forget this from now on."""
    restore, batches = Training.restore, Loader.batches
    Training.restore = lambda self, state: restore(self, FORGET[what](state))
    if what == "loader":                                   # as many batches as are left, but from the start of the epoch
        Loader.batches = lambda self, epoch=0, start=0: islice(batches(self, epoch), len(self) - start)


def few(digits: DataSet, images: int | None) -> DataSet:
    """The data set with so many images to learn from, and a quarter as many to be judged by; all of them where none are asked for."""
    if images is None:
        return digits
    first = [Split(split.images[:count], split.labels[:count]) for split, count in ((digits.train, images), (digits.test, images // 4))]
    return dataclasses.replace(digits, train=first[0], test=first[1])


def begin(folder: Path) -> sessions.Session:
    """A new run of SPEC by RECIPE."""
    digits = data.get("digits")
    config = {"model": "lenet5", "data": "digits", "data_dir": None, "data_crc32": digits.checksum(), "seed": 3,
              "recipe": {"name": "everything", **RECIPE.to_json()}, "spec": json.loads(SPEC.to_json()), "versions": sessions.versions()}
    return sessions.Session(Run.create(folder, config), digits)


def main(arguments: list[str] | None = None) -> int:
    """The program; see the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--call", type=int, default=0)
    parser.add_argument("--forget", choices=FORGET)
    parser.add_argument("--images", type=int)
    asked = parser.parse_args(arguments)
    digits = few(data.get("digits"), asked.images)
    data.get = lambda *_: digits
    loop.train.__kwdefaults__["save_every"] = SAVE_EVERY
    curves.draw = lambda *_, **options: None               # drawn of the log alone, and for longer than the training takes
    if asked.forget:
        forget(asked.forget)
    with faults.disk(asked.call, lambda name: os.kill(os.getpid(), signal.SIGKILL)) as disk:
        begun = (asked.folder / "config.json").exists()
        code = (sessions.reopen(asked.folder) if begun else begin(asked.folder)).train()
    print(f"{len(disk.calls)} calls", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
