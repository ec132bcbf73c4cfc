"""A run small enough to be killed many times: dropout (random counters), batch norm (buffers), momentum, distortions, a part of a batch.

As a program, `toy.py FOLDER [WRITE]` trains in FOLDER, or goes on there; it kills itself with signal 9 just before its WRITE-th
opening or renaming of a file, and otherwise ends with 0.
"""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from tinygradconv.data import DataSet, Split
from tinygradconv.data.augment import Distort
from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, Flatten, Tanh
from tinygradconv.train.loop import train
from tinygradconv.train.recipe import Recipe
from tinygradconv.train.snapshot import Run

SPEC = Conv(3, 3, stride=2) >> BatchNorm() >> Tanh() >> Flatten() >> Dropout(0.2) >> Dense(3)
RECIPE = Recipe("sgd", 0.2, epochs=2, batch_size=8, options={"momentum": 0.9, "nesterov": True, "decay": 1e-3}, warm_up=0.2, smoothing=0.1,
                augment=Distort(rotation=0.2, scale=0.1, shear=0.1, shift=1.0))


def data() -> DataSet:
    """Three kinds of noisy stripes, 28 to learn from and 12 to be judged by."""
    random = np.random.default_rng(0)
    labels = np.arange(40) % 3
    images = (random.uniform(0, 60, (40, 7, 7, 1)) + 180 * (np.arange(7)[:, None] % 3 == labels[:, None, None])[..., None]).astype(np.uint8)
    return DataSet("stripes", Split(images[:28], labels[:28]), Split(images[28:], labels[28:]), tuple("abc"), (90.0,), (80.0,))


def run(folder: Path, *, save_every: float = 0.0, recipe: Recipe = RECIPE):
    """Begin a run in `folder`, or go on there, to its end."""
    if (folder / "config.json").exists():
        opened = Run.open(folder)
        opened.lock()
    else:
        opened = Run.create(folder, {"seed": 5})
    try:
        return train(SPEC.build((7, 7, 1), seed=5), data(), recipe, seed=5, run=opened, save_every=save_every)
    finally:
        opened.close()


def kill_at(folder: Path, write: int) -> None:
    """Signal 9 just before the `write`-th opening or renaming of a file of the run."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in ("open", "os.rename", "os.mkdir") and str(arguments[0]).startswith(str(folder)):
            seen += 1
            if seen == write:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)


def main(folder: Path, write: int | None = None) -> None:
    """The program; see the module."""
    if write is not None:
        kill_at(folder, write)
    run(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
