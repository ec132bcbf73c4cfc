"""Adam, and AdamW, in which weight decay is no part of the gradient."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from tinygradconv.tensor import Tensor
from tinygradconv.train.checks import fraction, number

from .base import Group, Optimizer
from .spelling import our_names


class Adam(Optimizer):
    """p −= rate · m̂ / (√v̂ + epsilon), with running means m of g and v of g², corrected for their start at 0: m̂ = m / (1 − beta1^t), ….

    `decay` is added to the gradient (Kingma and Ba 2015, algorithm 1), or with `decoupled` shrinks the parameter by rate · decay instead
    (AdamW, Loshchilov and Hutter 2019, algorithm 2). ValueError: a beta outside [0, 1), an epsilon that is not above 0, a negative decay.
    """

    slots = ("first", "second")

    @our_names
    def __init__(self, parameters: Mapping[str, Tensor], *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
                 decay: float = 0.0, decoupled: bool = False, exclude: str | Iterable[str] = ()) -> None:
        where = type(self).__name__
        self.beta1, self.beta2 = fraction(where, "beta1", beta1), fraction(where, "beta2", beta2)
        self.epsilon, self.decoupled = number(where, "epsilon", epsilon, above=0), decoupled
        super().__init__(parameters, decay, exclude)

    def _step(self, group: Group, g: tuple, p: tuple, rate: float) -> None:
        group.backend.run("adam", g, *group.slots, p, rate, self.beta1, self.beta2, self.epsilon, group.decay, self._now, self.decoupled)


class AdamW(Adam):
    """p −= rate · decay · p, then Adam's step of the gradient alone (Loshchilov and Hutter 2019, algorithm 2). Errors as Adam's."""

    @our_names
    def __init__(self, parameters: Mapping[str, Tensor], *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
                 decay: float = 0.01, exclude: str | Iterable[str] = ()) -> None:
        super().__init__(parameters, beta1=beta1, beta2=beta2, epsilon=epsilon, decay=decay, decoupled=True, exclude=exclude)
