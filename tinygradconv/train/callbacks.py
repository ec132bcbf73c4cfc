"""Callbacks: what watches a training, or writes down what it does, without being a part of how it learns."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .training import Training


class Callback:
    """What the loop tells: derive from it, and write those of its four methods that you need. They do nothing here.

        class Loud(Callback):
            def epoch(self, training):
                print(training.position.epoch, training.position.accuracy)
        train(model, data, recipe, callbacks=[Progress(), Loud()])

    A callback looks at `training` and does not change it; so a run has the same bits with any callbacks. On a GPU the weights may be a
    step ahead of what it is told, unless `looks` says that it looks at them.
    """

    def looks(self) -> bool:
        """Whether its next `step` looks at more of the training than the position: then the step after it has not begun.

        Asked before every step on a GPU, where that costs the time for which the GPU waits. By default: whether there is a `step`.
        """
        return type(self).step is not Callback.step

    def begin(self, training: Training) -> None:
        """Before the first step, or the first after a resumption: `training.position` is where it goes on."""

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """After every update: its loss, over so many images, and how many of them were given their class; the position counts it."""

    def epoch(self, training: Training) -> None:
        """After every epoch, when the test images have been counted: `training.position.accuracy` is there."""

    def end(self, training: Training) -> None:
        """However it ended: by itself, a signal, an error. Only where `begin` did not fail."""


class Callbacks:
    """Several callbacks, told in their order. `with callbacks.of(training):` begins them and, however the block ends, ends them."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                got = f"the class {callback.__name__}" if isinstance(callback, type) else repr(callback)
                raise TypeError(f"train: a callback must be a Callback, such as Progress(), got {got}")
        self.callbacks = tuple(callbacks)

    @contextmanager
    def of(self, training: Training) -> Iterator[None]:
        """They end in the opposite order; one that fails keeps none from ending that has begun."""
        with ExitStack() as ends:
            for callback in self.callbacks:
                callback.begin(training)
                ends.callback(callback.end, training)
            yield

    def look(self) -> bool:
        """Whether one of them looks at the training after the next step."""
        return any([callback.looks() for callback in self.callbacks])

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """An update is done."""
        for callback in self.callbacks:
            callback.step(training, loss, images, correct)

    def epoch(self, training: Training) -> None:
        """An epoch is done."""
        for callback in self.callbacks:
            callback.epoch(training)
