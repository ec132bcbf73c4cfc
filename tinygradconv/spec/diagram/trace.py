"""The trace of a spec: its steps without any shapes, and the tree of parts that they came from.

`infer.Network` needs the shape of an input. A drawing does not: the trace lets the same `Spec.wire` run on flows that carry nothing but
the number of a step, so the steps have the numbers that they have in the Network, whichever combinators there are.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..base import Shape, Spec
from ..infer import INPUT, Flow, Place


@dataclasses.dataclass(frozen=True)
class TraceStep:
    """One layer or join, with what plan.py asks of a step. A head for training is drawn with the rest, so no step is `training_only`."""

    path: str
    spec: Spec
    inputs: tuple[int, ...]
    again: bool                              # in a later use of a Share: its parameters are those of the first
    shape: Shape = ()
    training_only: bool = False

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self.spec).__name__


@dataclasses.dataclass
class Part:
    """A spec where it stands: the parts it is made of, and its own step if it adds one.

    Its steps and those of its parts are `first` ≤ step < `end`; what leaves it is the output of step `exit`.
    """

    name: str
    spec: Spec
    first: int = 0
    end: int = 0
    exit: int = INPUT
    step: int | None = None
    parts: list[Part] = dataclasses.field(default_factory=list)


class Trace:
    """The steps and the tree of parts of `spec`; it stands in for a Network while `Spec.wire` runs."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.steps: list[TraceStep] = []
        self._open = [Part("", spec)]
        self._used: dict[str, int] = {}              # path: the use of a Share in which it was first met
        self._uses = 0
        self.output = self.wire(spec, Flow(INPUT, (), None), Place()).step
        self.root = self._open[0].parts[0]

    def wire(self, spec: Spec, flow: Flow, place: Place) -> Flow:
        """Let `spec` add its steps, as a part of the part that is being wired."""
        part = Part(place.keyword or place.path.rpartition(".")[2], spec, first=len(self.steps))
        self._open[-1].parts.append(part)
        self._open.append(part)
        made = spec.wire(self, flow, place)
        self._open.pop()
        part.end, part.exit = len(self.steps), made.step
        return made

    def one_more_use(self, spec: Spec, place: Place) -> Place:
        """`place`, for one more use of the `spec` that a Share has there."""
        self._uses += 1
        return dataclasses.replace(place, share=self._uses)

    def add_head(self, path: str, flow: Flow, weight: float) -> None:
        """An auxiliary head ends here: its part says all that is drawn."""

    def add(self, spec: Spec, flows: Sequence[Flow], place: Place) -> Flow:
        """One more step, the own step of the part that is being wired."""
        again = bool(place.share) and self._used.setdefault(place.label, place.share) != place.share
        self.steps.append(TraceStep(place.label, spec, tuple(flow.step for flow in flows), again))
        self._open[-1].step = len(self.steps) - 1
        return Flow(len(self.steps) - 1, (), None)
