"""Everything that steps change, as it was at one of them: for a training on a GPU whose steps have begun before the last is known."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinygradconv.backends import backend_of

if TYPE_CHECKING:
    from .training import Training


class Backup:
    """A copy, where they are, of a training's weights, buffers, running means and what its optimiser remembers; and its counters.

    step      the number of updates before it
    """

    def __init__(self, training: Training) -> None:
        self._training, self._position = training, replace(training.position)
        self.step = self._position.step
        self._counts = training.model.counter.value, training.optimizer.steps, 0 if training.ema is None else training.ema.updates
        self._buffers = dict(training.model.buffers)
        self._copies = []
        for array in self._arrays():
            copy = backend_of(array).like(array)
            backend_of(array).run("copy", array, copy)
            self._copies.append(copy)

    def _arrays(self) -> Iterator[Any]:
        """What steps change in place, in an order that is always the same."""
        training = self._training
        for tensor in (*training.model.parameters.values(), *self._buffers.values()):
            yield tensor.data
        for _, _, array in training.optimizer.remembered():
            yield array
        if training.ema is not None:
            yield from training.ema.arrays()

    def restore(self) -> None:
        """The training stands where it stood: the next step is number `step`."""
        training = self._training
        for array, copy in zip(self._arrays(), self._copies):
            backend_of(array).run("copy", copy, array)
        for tensor in (*training.model.parameters.values(), *self._buffers.values()):
            tensor.storage.version += 1
        training.model.buffers.update(self._buffers)
        training.model.counter.value, training.optimizer.steps, updates = self._counts
        if training.ema is not None:
            training.ema.updates = updates
        training.position = replace(self._position)
