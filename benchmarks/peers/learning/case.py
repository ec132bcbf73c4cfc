"""What is learnt, and what is seen of it."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """What is learnt: a network, a data set, a recipe; tests every so many steps, turns of so many, and the accuracy that is timed."""

    model: str
    data: str
    recipe: str
    every: int
    turn: int
    target: float | None = None


CASES = {"lenet5": Case("lenet5", "mnist", "fast", every=100, turn=50, target=99.0),
         "resnet20": Case("resnet20", "cifar-10", "fast", every=391, turn=17)}


@dataclass(frozen=True)
class Seen:
    """A test: after so many steps, that took so many seconds, this accuracy in %."""

    step: int
    seconds: float
    accuracy: float


@dataclass
class Progress:
    """One side so far: the seconds of its steps, and its tests."""

    seconds: float = 0.0
    steps: int = 0
    tests: list[Seen] = field(default_factory=list)

    def reached(self, target: float) -> Seen | None:
        """The first test with at least this accuracy."""
        return next((seen for seen in self.tests if seen.accuracy >= target), None)
