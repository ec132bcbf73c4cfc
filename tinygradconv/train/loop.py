"""The loop: batch, loss, gradients, update; a snapshot every few seconds and after every epoch.

Everything that decides the next step is a function of the seed and the position (order of the data, distortions, rate), or is in
the state that a snapshot keeps (weights, buffers, optimiser, the model's counter). So a run that was stopped anywhere, and goes
on, ends in the same bits as one that was not.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygradconv.autodiff import grad
from tinygradconv.backends.choice import restore as retune
from tinygradconv.backends.choice import tuned
from tinygradconv.data import DataSet, Loader
from tinygradconv.ops.loss import cross_entropy
from tinygradconv.tensor import Tensor

from .evaluate import evaluate
from .interrupt import Interrupted, Stop
from .optim import match_arrays
from .progress import Progress, say
from .recipe import Recipe
from .snapshot import Position, Run, State

SAVE_EVERY = 5.0              # seconds between snapshots within an epoch
LOG_EVERY = 100               # steps between rows of the log within an epoch


class LossError(ArithmeticError):
    """The loss became NaN or infinite; the message says when, and what to try."""


class Training:
    """One training run in memory: model, optimiser, schedule and position, and how they become a `State` and come back from one."""

    def __init__(self, model: Any, data: DataSet, recipe: Recipe, seed: int) -> None:
        self.model, self.recipe = model, recipe
        self.loader, self.tester = Loader.training(data, recipe.batch_size, seed, recipe.distort), Loader.testing(data)
        self.steps = recipe.epochs * len(self.loader)
        self.optimizer, self.rate = recipe.make_optimizer(model.parameters), recipe.make_schedule(self.steps)
        self.position = Position()

    def step(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Learn from one batch; returns its loss. LossError where that is not finite: then nothing has been learned from it."""
        loss = self.loss(self.model(Tensor.of(x), train=True), Tensor.of(labels))
        value = loss.item()
        if not math.isfinite(value):
            at = self.position
            raise LossError(f"the loss is {value} at step {at.step + 1} (epoch {at.epoch + 1}, batch {at.batch + 1}). Try a smaller rate; "
                            f"TGC_ANOMALY=1 names the op and the line where the first NaN or infinity was born")
        gradients = grad(loss, list(self.optimizer.parameters.values()), retain_graph=False)
        self.optimizer.update(gradients, self.rate(self.position.step))
        return value

    def loss(self, y: Any, labels: Tensor) -> Tensor:
        """Cross-entropy of a model's output, and of its auxiliary heads by their weights where it has any."""
        y, heads = y if isinstance(y, tuple) else (y, {})
        loss = cross_entropy(y, labels, label_smoothing=self.recipe.smoothing)
        for head, weight in heads.values():
            loss = loss + weight * cross_entropy(head, labels, label_smoothing=self.recipe.smoothing)
        return loss

    def weights(self) -> dict[str, np.ndarray]:
        """Weights and buffers by path."""
        return {path: t.numpy() for path, t in (*self.model.parameters.items(), *self.model.buffers.items())}

    def state(self) -> State:
        """Everything that a run needs to go on from here."""
        return State(replace(self.position, counter=self.model.counter.value), self.weights(), self.optimizer.state(), tuned())

    def restore(self, state: State) -> None:
        """Go on from a state. ValueError names what does not fit the model or the optimiser; then nothing has been changed."""
        at = state.position
        if not (0 <= at.epoch <= self.recipe.epochs and 0 <= at.batch <= len(self.loader)
                and at.step == at.epoch * len(self.loader) + at.batch):
            raise ValueError(f"the snapshot stands at epoch {at.epoch}, batch {at.batch}, step {at.step}, "
                             f"which this run of {self.recipe.epochs} epochs of {len(self.loader)} batches does not have. "
                             f"Has the data set changed?")
        match_arrays("the snapshot", self.weights(), state.model)
        retune(dict(state.tuned))
        self.optimizer.restore(state.optimizer)
        load_weights(self.model, state.model)
        self.model.counter.value = at.counter
        self.position = replace(at)


def load_weights(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Put weights and buffers by path into a model. ValueError names the first that is missing, too much or of another shape."""
    tensors = {**model.parameters, **model.buffers}
    match_arrays("the weights", {path: t.numpy() for path, t in tensors.items()}, arrays)
    for path, p in model.parameters.items():
        p.data[...] = arrays[path]
        p.storage.version += 1
    for path in model.buffers:
        model.buffers[path] = Tensor.of(np.array(arrays[path]))


def train(model: Any, data: DataSet, recipe: Recipe, *, seed: int = 0, run: Run | None = None, save_every: float = SAVE_EVERY,
          progress: Callable[..., Progress] = Progress) -> Position:
    """Train `model` on `data` by `recipe`; the position at the end has the test accuracy (`correct` of `tested`).

    With a `run` every row of the log and every snapshot goes into its folder, and training goes on from the newest there. Interrupted
    (a KeyboardInterrupt) after SIGINT or SIGTERM, LossError where the loss is not finite; in both cases the last snapshot stands.
    """
    training = Training(model, data, recipe, seed)
    if run is not None:
        _go_on(training, run)
    at, bar = training.position, progress(training.steps, recipe.epochs, training.position.step)
    try:
        with Stop() as stop:
            while at.epoch < recipe.epochs and not stop:
                _learn(training, run, bar, stop, save_every)
                if stop:
                    break
                _judge(training, run, bar, stop)
            if stop:
                if run is not None:
                    run.save(training.state())
                raise Interrupted(stop.number)
    finally:
        bar.close()
    return at


def _go_on(training: Training, run: Run) -> None:
    """Bring training to where the run's newest snapshot stands, and the log with it; a run without one gets its first."""
    state, problems = run.load()
    for problem in problems:
        say(problem)
        run.drop_damaged()
    if state is not None:
        training.restore(state)
    run.log.cut(training.position.rows)
    if state is None:
        run.save(training.state())


def _learn(training: Training, run: Run | None, bar: Progress, stop: Stop, save_every: float) -> None:
    """The rest of an epoch's batches, up to its end or a stop."""
    at, since = training.position, time.monotonic()
    saved = since
    for x, labels in training.loader.batches(at.epoch, at.batch):
        loss = training.step(x, labels)
        now = time.monotonic()
        at.batch, at.step, at.seconds = at.batch + 1, at.step + 1, at.seconds + now - since
        at.loss_sum, at.loss_count, since = at.loss_sum + loss, at.loss_count + 1, now
        bar.step(at.epoch, loss, len(labels))
        if stop:
            return
        if run is not None and at.step % LOG_EVERY == 0 and at.batch < len(training.loader):
            _row(training, run, at.epoch, "")
        if run is not None and now - saved >= save_every:
            run.save(training.state())
            saved = time.monotonic()


def _judge(training: Training, run: Run | None, bar: Progress, stop: Stop) -> None:
    """The end of an epoch: test accuracy, a row of the log, best and last weights, the snapshot."""
    at, loss = training.position, training.position.loss_sum / max(training.position.loss_count, 1)
    counted = evaluate(training.model, training.tester.batches(), lambda: bool(stop))
    if counted is None:
        return
    at.correct, at.tested = counted
    at.accuracy = 100 * at.correct / at.tested
    at.epoch, at.batch = at.epoch + 1, 0
    better = at.accuracy > at.best
    if better:
        at.best, at.best_epoch = at.accuracy, at.epoch
    if run is not None:
        _row(training, run, at.epoch, f"{at.accuracy:.4f}")
        if better:
            run.save_best(training.weights())
        run.save(training.state())
    bar.epoch(at.epoch - 1, loss, at.accuracy)


def _row(training: Training, run: Run, epoch: int, accuracy: str) -> None:
    """One row of the log, with the mean loss since the row before."""
    at = training.position
    loss = at.loss_sum / at.loss_count if at.loss_count else math.nan
    run.log.add(epoch, at.step, f"{training.rate(at.step - 1):.6g}", f"{loss:.6f}", accuracy, f"{at.seconds:.3f}")
    at.rows, at.loss_sum, at.loss_count = at.rows + 1, 0.0, 0
