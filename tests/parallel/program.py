"""What the tests start under mpirun: a small training with dropout, batch norm and augmentation.

    program.py losses FOLDER               trains in several ways, all ranks together and then the first two; prints what was seen as one
                                           line of JSON. The first two also train into FOLDER, as `run` does
    program.py run FOLDER                  trains in FOLDER, or goes on there, with a snapshot after every step
    program.py run FOLDER FAULT RANK STEP  the same, and at that step this happens in that rank: TERM, KILL, raise or drift

The network has a layer of every kind that has to know of the other ranks, and an epoch's last batch has one row.
"""
from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.train import toy
from tinygradconv.parallel import checksum, launch, ranks
from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, Flatten, ReLU, Residual
from tinygradconv.tensor import Tensor
from tinygradconv.train import loop
from tinygradconv.train.callbacks import Callback
from tinygradconv.train.interrupt import Interrupted
from tinygradconv.train.snapshot import Run
from tinygradconv.train.training import Training
from tinygradconv.train.weights import weights_of

SPEC = (Conv(4, 3, stride=2) >> BatchNorm() >> ReLU() >> Residual(Conv(4, 3, padding=1) >> BatchNorm()) >> ReLU()
        >> Flatten() >> Dropout(0.3) >> Dense(3))
WAYS = {"float64": ("float64", True), "float32": ("float32", True), "float32 again": ("float32", True),
        "each its own statistics": ("float64", False)}


class Losses(Callback):
    """The loss of every step."""

    def __init__(self):
        self.losses = []

    def step(self, training, loss, images, correct):
        self.losses.append(loss)


class Wide:
    """A model that takes a loader's float32 images as its own dtype."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, x, train=False):
        return self.model(Tensor.of(x.data.astype(self.model.dtype)), train=train)


def recipe(sync):
    """28 images in batches of 9: the fourth of an epoch has one."""
    return replace(toy.RECIPE, epochs=2, batch_size=9, sync_batch_norm=sync)


def losses(group, dtype, sync):
    """What was seen of a training by this group."""
    model, seen = SPEC.build((7, 7, 1), seed=5, dtype=dtype), Losses()
    at = loop.train(Wide(model), toy.data(), recipe(sync), seed=5, callbacks=[seen], workers=group)
    weights = weights_of(model)
    return {"losses": seen.losses, "counts": [at.correct, at.tested], "checksums": group.exchange(checksum(weights)),
            "weights": {path: np.asarray(a, float).ravel().tolist() for path, a in weights.items()}}


def run(group, folder):
    """A training into a folder; the exit code."""
    opened = None
    if group.leads:
        opened = Run.open(folder) if (folder / "config.json").exists() else Run.create(folder, {"seed": 5})
        opened.lock()
    try:
        loop.train(SPEC.build((7, 7, 1), seed=5), toy.data(), recipe(True), seed=5, run=opened, save_every=0, callbacks=[], workers=group)
    except Interrupted as stopped:
        return 128 + stopped.number
    return 0


def plant(group, fault, rank, at):
    """Make a fault happen just before a step of one rank."""
    launch.FIRST_WORD = 0.05
    if group.rank != rank:
        return
    step = Training.step

    def faulty(self, x, labels):
        if self.position.step == at:
            if fault == "raise":
                raise ValueError("planted")
            if fault == "drift":
                next(iter(self.model.parameters.values())).data[...] += 1e-3
            else:
                os.kill(os.getpid(), getattr(signal, f"SIG{fault}"))
        return step(self, x, labels)
    Training.step = faulty


def every_way(group, folder):
    """Several trainings by all ranks, the same by the first two, and a run of those; the exit code."""
    from mpi4py import MPI

    from tinygradconv.parallel.mpi import MPIGroup
    first_two = MPI.COMM_WORLD.Split(group.rank < 2)
    seen = [{"ranks": group.size, **{name: losses(group, *way) for name, way in WAYS.items()}}]
    if group.rank < 2:
        pair = MPIGroup(first_two)
        seen.append({"ranks": pair.size, **{name: losses(pair, *way) for name, way in WAYS.items()}})
        run(pair, folder)
    if group.leads:
        print(json.dumps(seen))
    return 0


def main(what, folder="", fault="", rank="0", step="0"):
    """The program; see the module."""
    with ranks() as group:
        if what == "losses":
            return every_way(group, Path(folder))
        if fault:
            plant(group, fault, int(rank), int(step))
        return run(group, Path(folder))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
