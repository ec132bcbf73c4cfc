"""LARS: layers whose rates follow the ratio of the norms of their weights and gradients."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tinygradconv.autodiff import no_grad
from tinygradconv.ops.reduce import sum
from tinygradconv.tensor import Tensor
from tinygradconv.train.checks import fraction, number

from .base import Group, Optimizer
from .spelling import our_names


class LARS(Optimizer):
    """λ = trust · ‖p‖ / (‖g‖ + decay·‖p‖);  velocity = momentum · velocity + rate·λ·(g + decay·p);  p −= velocity.

    You, Gitman and Ginsburg 2017, algorithm 1: one λ for each parameter, the rate within the velocity. λ is 1 where it would be 0 or
    0 / 0, so that weights of 0 learn too. Excluded parameters have λ = 1 and no decay; without `exclude` these are all of one axis or none:
    biases, and the scales and shifts of norms. ValueError: momentum outside [0, 1), trust not above 0, a negative decay.
    """

    slots = ("velocity",)
    reads = "the norms of weights and gradients"

    @our_names
    def __init__(self, parameters: Mapping[str, Tensor], *, momentum: float = 0.9, trust: float = 0.001, decay: float = 0.0,
                 exclude: str | Iterable[str] | None = None) -> None:
        self.momentum, self.trust = fraction("LARS", "momentum", momentum), number("LARS", "trust", trust, above=0)
        self._by_axes = exclude is None
        super().__init__(parameters, decay, () if exclude is None else exclude)

    def _grouped(self) -> list[Group]:
        if self._by_axes:
            self.excluded = frozenset(path for path, p in self.parameters.items() if p.ndim < 2)
        return super()._grouped()

    def _step(self, group: Group, g: tuple, p: tuple, rate: float) -> None:
        """The kernel of momentum at a rate of 1, handed gradients that are scaled already; (rate·λ)·decay is then the decay."""
        for i in range(len(p)):
            local = rate if group.excluded else rate * self._trusted(p[i], g[i], group.decay)
            with no_grad():
                scaled = (Tensor.of(g[i]) * local).data
            slot = (group.slots[0][i],)
            group.backend.run("sgd", (scaled,), slot, (p[i],), 1.0, self.momentum, local * group.decay, False)

    def _trusted(self, p: Any, g: Any, decay: float) -> float:
        """λ of one parameter."""
        weights, slope = _norm(p), _norm(g)
        below = slope + decay * weights
        return self.trust * weights / below if weights and below else 1.0


def _norm(array: Any) -> float:
    """‖a‖, the root of the sum of squares."""
    with no_grad():
        a = Tensor.of(array)
        return math.sqrt(sum(a * a).item())
