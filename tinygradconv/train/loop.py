"""The loop: batch after batch, epoch after epoch; what is done in a step stands in training.py, what watches in callbacks.py."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from tinygradconv.data import DataSet
from tinygradconv.parallel import Group

from . import together
from .callbacks import Callback, Callbacks
from .captured import learner
from .interrupt import Interrupted, Stop
from .progress import Progress
from .recipe import Recipe
from .record import SAVE_EVERY, Record
from .snapshot import Run
from .state import Position
from .training import Training


def train(model: Any, data: DataSet, recipe: Recipe, *, seed: int = 0, run: Run | None = None,
          callbacks: Sequence[Callback] | None = None, save_every: float = SAVE_EVERY,
          loader_workers: int | None = None, workers: Group | None = None) -> Position:
    """Train `model` on `data` by `recipe`; the position at the end has the test accuracy (`correct` of `tested`).

    With a `run` every row of the log and every snapshot goes into its folder, and training goes on from the newest there. `callbacks` are
    told what happens; without any given it is `Progress()`. `save_every` are the seconds between snapshots, `loader_workers` the threads
    that make batches ahead; neither changes a bit of the result.

    With `workers`, a group of ranks (parallel.world()), all of them call train, and each learns from its rows of every batch. Rank 0 alone
    has the run and tells the callbacks.

    Interrupted (a KeyboardInterrupt) after SIGINT or SIGTERM; LossError or GradientError where the loss, a gradient or a weight is not
    finite, which names the op that made it. Each time the last snapshot stands.
    """
    training = Training(model, data, recipe, seed, loader_workers=loader_workers, workers=workers)
    workers = training.workers
    together.check_start(training)
    record = [Record(run, save_every)] if run is not None and workers.leads else []
    watching = [Progress()] if callbacks is None else callbacks
    tell = Callbacks([*record, *watching] if workers.leads else [])
    with Stop(workers) as stop, tell.of(training):
        together.spread(training)
        learns = learner(training)
        while not training.finished and not stop.look():
            _learn(training, learns.losses(stop.look, tell.look), tell)
            if not stop and training.judge(lambda: stop.asked):
                together.check_weights_equal(training)
                tell.epoch(training)
        if stop:
            for each in record:
                each.save(training)
            raise Interrupted(stop.number)
    return training.position


def _learn(training: Training, losses: Iterator[float], tell: Callbacks) -> None:
    """The rest of an epoch's steps, up to its end or a stop."""
    with closing(losses):
        for loss in losses:
            tell.step(training, loss, training.images, training.correct)
