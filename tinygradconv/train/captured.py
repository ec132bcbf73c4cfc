"""The steps of a training on a GPU, each one CUDA graph: what training.py's `step` does, told to the GPU at once (docs/gpu.md).

    batch (picked out of the data set that lies there, or moved there) → forward → loss → backward → clipping → update → running means

The host reads three numbers of a step: its loss, how many images were given their class, whether all gradients are finite. It reads those
of a step while the next one runs, so that the GPU need not wait for Python.

That a step is not finite is known when it has changed the weights, and the next has begun. So every EVERY steps there is a backup of all
that steps change. The training goes back to it, learns again what it had learned, without capture but to the bit, and comes to the batch as
`Training.step` comes to one: which says what op made the first NaN, and learns nothing from it.
"""
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.backends import backend_named
from tinygradconv.capture import capture
from tinygradconv.data import DeviceLoader
from tinygradconv.ops.elementwise import isfinite
from tinygradconv.ops.join import concat
from tinygradconv.ops.reduce import all as every
from tinygradconv.tensor import Tensor

from .accumulate import Accumulation
from .backup import Backup
from .clip import clipped_there
from .diverged import LossError
from .evaluate import correct_there
from .flat import flattened
from .progress import say
from .training import Training
from .weights import beside_weights

EVERY = 256                           # steps from one backup to the next: so many are learned again, at most, where one is not finite
REFUSED = "capture: "                 # how what `capture` says begins


@dataclass(frozen=True)
class _Rows:
    """The rows of a batch, as one value: batches of another size are another recording."""

    rows: tuple[int, int, int]


class CapturedSteps:
    """The steps of a training whose model is on a GPU; the weights may be one ahead of the position (`training.ahead`)."""

    def __init__(self, training: Training) -> None:
        self.training, self.refused, self._gpu = training, False, backend_named("cuda")
        self._placed, self._given = capture(self.step_at), capture(self.step)
        self._running: deque[Any] = deque()                 # the numbers of the steps that have begun, on their way
        self._backup: Backup | None = None

    def losses(self, stopping: Callable[[], bool], looks: Callable[[], bool]) -> Iterator[float]:
        """The rest of the epoch: the loss of each step, when the position counts it. Where `looks()`, the next begins only then.

        It ends where `stopping()`, once what has begun is counted. LossError, GradientError as `Training.step`.
        """
        training = self.training
        self._backup = None                                 # of another epoch, in another order
        if not self.refused:
            with closing(training.timed(self._batches())) as batches:
                for number, batch in enumerate(batches, training.position.batch):
                    if looks() or self._outdated():
                        yield from self._counted(0)
                    if stopping() or not self._begin(number, batch):
                        break
                    yield from self._counted(1)
            yield from self._counted(0)
        if self.refused and not stopping():
            yield from training.losses(stopping, looks)

    def _batches(self) -> Iterator[Any]:
        """The places of batches, where the loader makes batches of them within a step, or batches."""
        loader, at = self.training.loader, self.training.position
        return (loader.places if isinstance(loader, DeviceLoader) else loader.batches)(at.epoch, at.batch)

    def _outdated(self) -> bool:
        """Whether it is time for a backup, before the next step."""
        return self._backup is None or self.training.position.step + self.training.ahead >= self._backup.step + EVERY

    def _begin(self, number: int, batch: Any) -> bool:
        """Start a step, or nothing where it cannot be captured, which is said: then the answer is False."""
        training = self.training
        if self._outdated():
            self._backup = Backup(training)
        before, rate = training.moved_by_forward(), training.rate(training.position.step + training.ahead)
        try:
            if isinstance(batch, Tensor):
                numbers = self._placed(batch, _Rows(training.loader.rows(number)), rate)
            else:
                numbers = self._given(*(beside_weights(training.model, values) for values in batch), rate)
        except (RuntimeError, MemoryError) as problem:
            if isinstance(problem, RuntimeError) and not str(problem).startswith(REFUSED):
                raise
            training.back(before)
            self.refused = True
            self._placed.forget()
            self._given.forget()
            say(f"steps are not captured, each kernel is started by itself: {problem}")
            return False
        self._running.append(self._gpu.later(numbers.data))
        training.ahead += 1
        return True

    def step_at(self, place: Tensor, rows: _Rows, rate: float) -> Tensor:
        """`step` of the batch at a place of the epoch."""
        return self.step(*self.training.loader.batch(place, rows.rows), rate)

    def step(self, x: Tensor, labels: Tensor, rate: float) -> Tensor:
        """Learn from a batch, whatever comes of it: (3,) float64, its loss, how many images had their class, whether all is finite."""
        training, recipe = self.training, self.training.recipe
        total, losses, right = Accumulation(), [], []
        for images, classes in training.parts(x, labels):
            loss, scores, gradients = training.part(images, classes)
            total.add(gradients, len(classes))
            with no_grad():
                losses.append(loss.astype(np.float64) * (len(classes) / len(labels)))
                right.append(correct_there(scores, classes))
        gradients = total.mean()
        with no_grad():
            if recipe.clip is None:
                sound = every(isfinite(flattened(list(gradients.values()))))
            else:
                gradients, norm = clipped_there(gradients, recipe.clip)
                sound = isfinite(norm)
            numbers = [values.astype(np.float64).reshape(1) for values in (reduce(add, losses), reduce(add, right), sound)]
        training.optimizer.update(gradients, rate)
        if training.ema is not None:
            training.ema.update()
        return concat(numbers)

    def _counted(self, left: int) -> Iterator[float]:
        """The losses of the steps that have begun, but for the last `left`; the position is at each when its loss is given."""
        training = self.training
        while len(self._running) > left:
            loss, correct, sound = self._gpu.arrived(self._running.popleft()).tolist()
            training.ahead -= 1
            if not (math.isfinite(loss) and sound):
                self._diverged(loss)
            training.count(loss, int(correct))
            yield loss

    def _diverged(self, loss: float) -> None:
        """The LossError or GradientError of the step after the position, when all before it are learned again."""
        training, told = self.training, self.training.position
        self._running.clear()
        training.ahead = 0
        self._backup.restore()
        try:
            with closing(training.batches()) as batches:
                for x, labels in batches:
                    training.step(x, labels)
                    if training.position.step > told.step:
                        break
        finally:
            training.position = told
        raise LossError(f"the loss is {loss}, or a gradient is not finite, at step {told.step + 1} (epoch {told.epoch + 1}, batch "
                        f"{told.batch + 1}) of a captured training, but not where the step is not captured. Say so to the authors, and "
                        f"train with TGC_LAUNCH_BLOCKING=1, which captures nothing")


def learner(training: Training) -> Training | CapturedSteps:
    """What the loop takes the steps of: the training itself, or on a GPU captured ones. Why they are not captured there is said."""
    if getattr(training.model, "device", "cpu") == "cpu" or training.workers.size > 1:
        return training
    optimizer = training.optimizer
    if optimizer.reads:
        say(f"steps are not captured, each kernel is started by itself: {type(optimizer).__name__} reads {optimizer.reads} on the host")
        return training
    return CapturedSteps(training)
