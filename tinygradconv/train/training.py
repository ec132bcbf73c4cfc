"""One training in memory: model, optimiser, schedule and position, one step of it, and how it becomes a `State` and comes back from one.

Everything that decides the next step is a function of the seed and the position (order of the data, augmentation, rate), or is in
the state that a snapshot keeps (weights, buffers, optimiser, the model's counter). So a run that was stopped anywhere, and goes
on, ends in the same bits as one that was not.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tinygradconv.autodiff import grad
from tinygradconv.backends.choice import restore as retune
from tinygradconv.backends.choice import tuned
from tinygradconv.data import DataSet, Loader
from tinygradconv.ops.loss import cross_entropy
from tinygradconv.tensor import Tensor

from .evaluate import correct_of, evaluate
from .optim import match_arrays
from .recipe import Recipe
from .snapshot import Position, State
from .weights import load_weights, weights_of


class LossError(ArithmeticError):
    """The loss became NaN or infinite; the message says when, and what to try."""


class Training:
    """A model that learns from a data set by a recipe: `step` is one update, `judge` the test at the end of an epoch.

    position    how far it has come, and what it has added up on the way
    steps       the number of updates in the whole training
    optimizer   and `rate`, the learning rate as a function of the step
    loader      the training images in batches, `tester` the test images
    correct     how many images of the last batch had been given their class before the update
    """

    def __init__(self, model: Any, data: DataSet, recipe: Recipe, seed: int = 0) -> None:
        self.model, self.data, self.recipe, self.seed = model, data, recipe, seed
        self.loader, self.tester = Loader.training(data, recipe.batch_size, seed, recipe.augment), Loader.testing(data)
        self.steps = recipe.epochs * len(self.loader)
        self.optimizer, self.rate = recipe.make_optimizer(model.parameters), recipe.make_schedule(self.steps)
        self.position, self.correct = Position(), 0
        self._since = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.position.epoch >= self.recipe.epochs

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The rest of the epoch's batches, from where the position stands; the time for which each is waited is counted."""
        batches = iter(self.loader.batches(self.position.epoch, self.position.batch))
        self._since = time.monotonic()
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self.position.waiting += time.monotonic() - asked
            yield batch

    def step(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Learn from one batch; returns its loss. LossError where that is not finite: then nothing has been learned from it."""
        y = self.model(Tensor.of(x), train=True)
        loss = self.loss(y, Tensor.of(labels))
        value = loss.item()
        if not math.isfinite(value):
            at = self.position
            raise LossError(f"the loss is {value} at step {at.step + 1} (epoch {at.epoch + 1}, batch {at.batch + 1}). Try a smaller rate; "
                            f"TGC_ANOMALY=1 names the op and the line where the first NaN or infinity was born")
        self.correct = correct_of((y[0] if isinstance(y, tuple) else y).numpy(), labels)
        gradients = grad(loss, list(self.optimizer.parameters.values()), retain_graph=False)
        self.optimizer.update(gradients, self.rate(self.position.step))
        self._count(value, len(labels))
        return value

    def loss(self, y: Any, labels: Tensor) -> Tensor:
        """Cross-entropy of a model's output, and of its auxiliary heads by their weights where it has any."""
        y, heads = y if isinstance(y, tuple) else (y, {})
        loss = cross_entropy(y, labels, label_smoothing=self.recipe.smoothing)
        for head, weight in heads.values():
            loss = loss + weight * cross_entropy(head, labels, label_smoothing=self.recipe.smoothing)
        return loss

    def _count(self, loss: float, images: int) -> None:
        """The position after a step."""
        at, now = self.position, time.monotonic()
        at.batch, at.step, at.seconds, self._since = at.batch + 1, at.step + 1, at.seconds + now - self._since, now
        at.loss_sum, at.loss_count = at.loss_sum + loss, at.loss_count + 1
        at.correct_sum, at.images = at.correct_sum + self.correct, at.images + images

    def judge(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """The end of an epoch: count the test images that are given their class. False where `stopping()` turned true on the way."""
        counted = evaluate(self.model, self.tester.batches(), stopping)
        if counted is None:
            return False
        at = self.position
        at.correct, at.tested = counted
        at.accuracy = 100 * at.correct / at.tested
        at.epoch, at.batch = at.epoch + 1, 0
        if at.accuracy > at.best:
            at.best, at.best_epoch = at.accuracy, at.epoch
        return True

    def weights(self) -> dict[str, np.ndarray]:
        """Weights and buffers by path; not copied."""
        return weights_of(self.model)

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
