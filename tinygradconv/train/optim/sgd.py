"""Stochastic gradient descent, with momentum and Nesterov's form of it."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from tinygradconv.tensor import Tensor
from tinygradconv.train.checks import fraction

from .base import Group, Optimizer
from .spelling import our_names


class SGD(Optimizer):
    """d = g + decay · p;  velocity = momentum · velocity + d;  p −= rate · velocity, or rate · (d + momentum · velocity) with `nesterov`.

    PyTorch's convention, where the rate multiplies the whole velocity (Sutskever et al. 2013 for the Nesterov form). ValueError: a momentum
    outside [0, 1), a negative decay, nesterov without momentum.
    """

    slots = ("velocity",)

    @our_names
    def __init__(self, parameters: Mapping[str, Tensor], *, momentum: float = 0.0, nesterov: bool = False, decay: float = 0.0,
                 exclude: str | Iterable[str] = ()) -> None:
        self.momentum, self.nesterov = fraction("SGD", "momentum", momentum), nesterov
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov=True needs a momentum above 0")
        super().__init__(parameters, decay, exclude)

    def _step(self, group: Group, g: tuple, p: tuple, rate: float) -> None:
        group.backend.run("sgd", g, *group.slots, p, rate, self.momentum, group.decay, self.nesterov)
