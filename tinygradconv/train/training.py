"""One training in memory: model, optimiser, schedule and position, one step of it, and how it becomes a `State` and comes back from one.

Everything that decides the next step is a function of the seed and the position (order of the data, augmentation, rate), or is in
the state that a snapshot keeps (weights, buffers, optimiser, the model's counter). So a run that was stopped anywhere, and goes
on, ends in the same bits as one that was not.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from tinygradconv.autodiff import grad
from tinygradconv.backends.choice import restore as retune
from tinygradconv.backends.choice import tuned
from tinygradconv.data import DataSet, Loader
from tinygradconv.data.device import on_device
from tinygradconv.ops.loss import cross_entropy
from tinygradconv.parallel import Buckets, Group
from tinygradconv.tensor import Tensor

from . import together
from .accumulate import Accumulation
from .clip import GradientError, clip_by_global_norm
from .diverged import LossError, born, check_weights, unsound
from .early_stop import EarlyStop
from .ema import EMA
from .evaluate import correct_of, evaluate
from .optim import match_arrays
from .recipe import Recipe
from .state import Position, State
from .weights import beside_weights, host, load_weights, weights_of


class Training:
    """A model that learns from a data set by a recipe: `step` is one update, `judge` the test at the end of an epoch.

    position    how far it has come, and what it has added up on the way
    steps       the number of updates in the whole training, unless it stops early
    optimizer   and `rate`, the learning rate as a function of the step
    ema         the running mean of the weights, or None; where there is one, it is what is tested
    patience    when to stop early, or None
    loader      the training images in batches, made by `loader_workers` threads, or where the model is on a GPU; `tester` the test images
    images      how many images the last batch had, and `correct`, how many of them had been given their class before the update
    ahead       how many updates the weights are ahead of the position: one, where steps are captured (captured.py), before it is told
    workers     the ranks that train together, each on its rows of every batch; `buckets` sum their gradients
    """

    def __init__(self, model: Any, data: DataSet, recipe: Recipe, seed: int = 0, *, loader_workers: int | None = None,
                 workers: Group | None = None) -> None:
        self.model, self.data, self.recipe, self.seed = model, data, recipe, seed
        self.workers = Group() if workers is None else workers
        self.buckets, shard = Buckets(self.workers), (self.workers.rank, self.workers.size)
        device = getattr(model, "device", "cpu")
        self.loader = on_device(Loader.training(data, recipe.batch_size, seed, recipe.augment, workers=loader_workers, shard=shard), device)
        self.tester = on_device(Loader.testing(data, workers=loader_workers, shard=shard), device)
        self.steps = recipe.epochs * len(self.loader)
        self.optimizer, self.rate = recipe.make_optimizer(model.parameters), recipe.make_schedule(self.steps)
        self.ema = None if recipe.ema is None else EMA(model, recipe.ema)
        self.patience = None if recipe.patience is None else EarlyStop(recipe.patience)
        self.position, self.images, self.correct, self.ahead = Position(), 0, 0, 0
        self._since = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.recipe.ended(self.position.epoch, self.patience.waited if self.patience else 0)

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """The rest of the epoch's batches, from where the position stands; the time for which each is waited is counted."""
        return self.timed(self.loader.batches(self.position.epoch, self.position.batch))

    def timed(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same batches; the time for which each is waited is counted."""
        batches = iter(batches)
        self._since = time.monotonic()
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self.position.waiting += time.monotonic() - asked
            yield batch

    def losses(self, stopping: Callable[[], bool], looks: Callable[[], bool] | None = None) -> Iterator[float]:
        """Learn from the rest of the epoch's batches, to where `stopping()`: the loss of each. `looks` is for captured steps."""
        with closing(self.batches()) as batches:                  # left early, it ends the threads that make them
            for x, labels in batches:
                yield self.step(x, labels)
                if stopping():
                    return

    def step(self, x: np.ndarray | Tensor, labels: np.ndarray | Tensor) -> float:
        """Learn from one batch; returns its loss.

        LossError or GradientError where the loss or a gradient is not finite: it names the op, layer and line that made the first such
        value, and nothing has been learned from the batch.
        """
        before = self.moved_by_forward()
        loss, gradients = self._gradients(x, labels)
        try:
            gradients = self._sound(loss, gradients)
        except (LossError, GradientError) as problem:
            self.back(before)
            where = born(lambda: self._gradients(x, labels), host(x), weights_of(self.model))
            self.back(before)
            at = self.position
            raise type(problem)(f"{problem} at step {at.step + 1} (epoch {at.epoch + 1}, batch {at.batch + 1}): {where}. Nothing was "
                                f"learned from this batch. Try a smaller rate, or clip the gradients") from None
        self.optimizer.update(gradients, self.rate(self.position.step))
        if self.ema is not None:
            self.ema.update()
        self.count(loss, self.correct)
        return loss

    def _gradients(self, x: np.ndarray | Tensor, labels: np.ndarray | Tensor) -> tuple[float, dict[str, Tensor]]:
        """(loss, its gradients by path) of a batch, which goes through the network in the recipe's number of parts."""
        self.correct = 0
        if self.workers.size > 1:
            return together.gradients_of(self, x, labels)
        total, loss = Accumulation(), 0.0
        for images, classes in self.parts(x, labels):
            value, scores, gradients = self.part(images, classes)
            self.correct += correct_of(scores.numpy(), classes)
            total.add(gradients, len(classes))
            loss += value.item() * (len(classes) / len(labels))
        return loss, total.mean()

    def parts(self, x: np.ndarray | Tensor, labels: np.ndarray | Tensor) -> Iterator[tuple[Any, Any]]:
        """The images and labels of a batch that go through the network at once, one part after the other."""
        size = self.recipe.at_once
        if size >= len(labels):
            yield x, labels
            return
        for start in range(0, len(labels), size):
            yield x[start:start + size], labels[start:start + size]

    def part(self, x: np.ndarray | Tensor, labels: np.ndarray | Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """(loss, scores (N, classes), the loss's gradients by path) of images that go through the network at once."""
        y = self.model(beside_weights(self.model, x), train=True)
        loss = self.loss(y, beside_weights(self.model, labels))
        parameters = self.optimizer.parameters
        gradients = dict(zip(parameters, grad(loss, list(parameters.values()), retain_graph=False)))
        return loss, y[0] if isinstance(y, tuple) else y, gradients

    def _sound(self, loss: float, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """The gradients as the optimiser gets them, clipped where the recipe says so. LossError, GradientError: something is not finite."""
        if not math.isfinite(loss):
            raise LossError(f"the loss is {loss}")
        if self.recipe.clip is not None:
            try:
                return clip_by_global_norm(gradients, self.recipe.clip)[0]
            except GradientError:
                raise GradientError(unsound(gradients) or "the norm of the gradients is too large") from None
        if said := unsound(gradients):
            raise GradientError(said)
        return gradients

    def moved_by_forward(self) -> tuple[int, dict[str, Tensor]]:
        """What a forward pass moves: the counter of random numbers, the buffers."""
        return self.model.counter.value, dict(self.model.buffers)

    def back(self, before: tuple[int, dict[str, Tensor]]) -> None:
        """What a forward pass moves is where it was, when `moved_by_forward` said this."""
        self.model.counter.value = before[0]
        self.model.buffers.update(before[1])

    def loss(self, y: Any, labels: Tensor) -> Tensor:
        """Cross-entropy of a model's output, and of its auxiliary heads by their weights where it has any."""
        y, heads = y if isinstance(y, tuple) else (y, {})
        loss = cross_entropy(y, labels, label_smoothing=self.recipe.smoothing)
        for head, weight in heads.values():
            loss = loss + weight * cross_entropy(head, labels, label_smoothing=self.recipe.smoothing)
        return loss

    def count(self, loss: float, correct: int) -> None:
        """The position, `images` and `correct` after a step."""
        at, now = self.position, time.monotonic()
        self.images, self.correct = self.loader.rows(at.batch)[2], correct
        at.batch, at.step, at.seconds, self._since = at.batch + 1, at.step + 1, at.seconds + now - self._since, now
        at.loss_sum, at.loss_count = at.loss_sum + loss, at.loss_count + 1
        at.correct_sum, at.images = at.correct_sum + correct, at.images + self.images

    def judge(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """The end of an epoch: count the test images that are given their class. False where `stopping()` turned true on the way."""
        with self.ema.applied() if self.ema is not None else nullcontext():
            counted = together.counted(self.workers, evaluate(self.model, self.tester.batches(), stopping))
        if counted is None:
            return False
        at = self.position
        at.correct, at.tested = counted
        at.accuracy = 100 * at.correct / at.tested
        at.epoch, at.batch = at.epoch + 1, 0
        if at.accuracy > at.best:
            at.best, at.best_epoch = at.accuracy, at.epoch
        if self.patience is not None:
            self.patience.judge(at.accuracy)
        return True

    def weights(self) -> dict[str, np.ndarray]:
        """Weights and buffers by path as they are tested: their running means, where it keeps them."""
        return weights_of(self.model) if self.ema is None else self.ema.weights()

    def check(self) -> None:
        """LossError where a weight is not finite, so that no snapshot is made of it."""
        check_weights(weights_of(self.model), f"after step {self.position.step}")

    def state(self) -> State:
        """Everything that a run needs to go on from here."""
        return State(replace(self.position, counter=self.model.counter.value), weights_of(self.model), self.optimizer.state(), tuned(),
                     {} if self.ema is None else self.ema.state(), {} if self.patience is None else self.patience.state())

    def restore(self, state: State) -> None:
        """Go on from a state. ValueError names what does not fit the model or the recipe; then nothing has been changed."""
        at = state.position
        if not (0 <= at.epoch <= self.recipe.epochs and 0 <= at.batch <= len(self.loader)
                and at.step == at.epoch * len(self.loader) + at.batch):
            raise ValueError(f"the snapshot stands at epoch {at.epoch}, batch {at.batch}, step {at.step}, "
                             f"which this run of {self.recipe.epochs} epochs of {len(self.loader)} batches does not have. "
                             f"Has the data set changed?")
        match_arrays("the snapshot", weights_of(self.model), state.model)
        match_arrays("the snapshot's optimizer", self.optimizer.state(), state.optimizer)
        match_arrays("the snapshot's ema", {} if self.ema is None else self.ema.state(), state.ema)
        if self.patience is not None:
            self.patience.restore(state.early_stop)
        retune(dict(state.tuned))
        self.optimizer.restore(state.optimizer)
        if self.ema is not None:
            self.ema.restore(state.ema)
        load_weights(self.model, state.model)
        self.model.counter.value = at.counter
        self.position = replace(at)
