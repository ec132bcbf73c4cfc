"""Callbacks: what watches a training, or writes down what it does, without being a part of how it learns."""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .training import Training


class Callback:
    """What the loop tells: derive from it, and write those of its four methods that you need. They do nothing here.

        class Loud(Callback):
            def epoch(self, training):
                print(training.position.epoch, training.position.accuracy)
        train(model, data, recipe, callbacks=[Progress(), Loud()])

    A callback looks at `training` and does not change it; so a run has the same bits with any callbacks.
    """

    def begin(self, training: Training) -> None:
        """Before the first step, or the first after a resumption: `training.position` is where it goes on."""

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """After every update: its loss, over so many images, and how many of them were given their class; the position counts it."""

    def epoch(self, training: Training) -> None:
        """After every epoch, when the test images have been counted: `training.position.accuracy` is there."""

    def end(self, training: Training) -> None:
        """However it ended: by itself, a signal, an error. Only where `begin` did not fail."""


class Callbacks(Callback):
    """Several callbacks as one: each is told, in their order; they end in the opposite order, and one that fails keeps none from ending."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                got = f"the class {callback.__name__}" if isinstance(callback, type) else repr(callback)
                raise TypeError(f"train: a callback must be a Callback, such as Progress(), got {got}")
        self.callbacks, self._ends = tuple(callbacks), ExitStack()

    def begin(self, training: Training) -> None:
        """Tell each; where one fails, those before it end."""
        with ExitStack() as ends:
            for callback in self.callbacks:
                callback.begin(training)
                ends.callback(callback.end, training)
            self._ends = ends.pop_all()

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """Tell each."""
        for callback in self.callbacks:
            callback.step(training, loss, images, correct)

    def epoch(self, training: Training) -> None:
        """Tell each."""
        for callback in self.callbacks:
            callback.epoch(training)

    def end(self, training: Training) -> None:
        """Tell each that has begun."""
        self._ends.close()
