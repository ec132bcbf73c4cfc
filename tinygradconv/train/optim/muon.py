"""Muon: momentum made orthogonal."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.geometry import integer
from tinygradconv.ops.reduce import sum
from tinygradconv.tensor import Tensor
from tinygradconv.train.checks import fraction, number

from .base import Group, Optimizer
from .patterns import matching
from .spelling import our_names

# Of a·X + b·(X Xᵀ)X + c·(X Xᵀ)²X: steep at 0, so that small singular values grow fast; all end between about 0.7 and 1.2.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SMALLEST_NORM = 1e-7


class Muon(Optimizer):
    """m = μ·m + (1 − μ)·g;  u = g + μ·(m − g), or m without `nesterov`;  p −= rate · decay · p;  p −= rate · √max(1, O/I) · orthogonal(u).

    For weights of two axes and more, as matrices (I, O): a convolution's (kh, kw, C, O) are kh·kw·C rows of O, and their scale is
    √max(1, O/C). All others (biases, norms), and those whose path matches a pattern of `adamw` (the author leaves a network's last layer
    to it), take a step of AdamW (`beta1`, `beta2`, `epsilon`, the same decay) at rate · `share`. Jordan et al. 2024, "Muon: an optimizer
    for hidden layers in neural networks", in PyTorch's form, but in the dtype of the weights. ValueError: momentum or a beta outside
    [0, 1), epsilon or share not above 0, a negative decay, a pattern that matches nothing.
    """

    reads = "the norms of gradients"

    @our_names
    def __init__(self, parameters: Mapping[str, Tensor], *, momentum: float = 0.95, nesterov: bool = True, iterations: int = 5,
                 decay: float = 0.1, exclude: str | Iterable[str] = (), adamw: str | Iterable[str] = (), share: float = 0.015,
                 beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.momentum, self.nesterov = fraction("Muon", "momentum", momentum), nesterov
        self.iterations, self.share = integer("iterations", iterations, at_least=1, where="Muon"), number("Muon", "share", share, above=0)
        self.beta1, self.beta2 = fraction("Muon", "beta1", beta1), fraction("Muon", "beta2", beta2)
        self.epsilon, self._adamw = number("Muon", "epsilon", epsilon, above=0), frozenset()
        if isinstance(parameters, Mapping):
            self._adamw = matching("Muon", "adamw", adamw, parameters)
        super().__init__(parameters, decay, exclude)

    def _slots_of(self, path: str) -> tuple[str, ...]:
        p = self.parameters[path]
        return ("first", "second") if p.ndim < 2 or p.size == 0 or path in self._adamw else ("momentum",)

    def _step(self, group: Group, g: tuple, p: tuple, rate: float) -> None:
        if len(group.slots) == 2:
            group.backend.run("adam", g, *group.slots, p, rate * self.share, self.beta1, self.beta2, self.epsilon, group.decay, self._now,
                              True)
            return
        with no_grad():
            for slope, mean, values in zip(g, group.slots[0], p):
                self._step_one(group.backend, Tensor.of(slope), mean, values, group.decay, rate)

    def _step_one(self, be: Any, g: Tensor, mean: Any, p: Any, decay: float, rate: float) -> None:
        """The formula, for one parameter."""
        m = Tensor.of(mean)
        m = m + (g - m) * (1 - self.momentum)
        be.run("copy", m.data, mean)
        u = g + (m - g) * self.momentum if self.nesterov else m
        inputs, outputs = p.shape[-2:]
        step = orthogonal(u.reshape((p.size // outputs, outputs)), self.iterations).reshape(p.shape)
        be.run("binary", p, be.constant(np.asarray(1 - rate * decay, p.dtype)), p, "multiply")
        be.run("binary", p, (step * (rate * math.sqrt(max(1.0, outputs / inputs)))).data, p, "subtract")


def orthogonal(matrix: Tensor, iterations: int = 5) -> Tensor:
    """About U Vᵀ, for a matrix U S Vᵀ: its singular values brought near 1 (0.7 to 1.2) by Newton and Schulz's iteration, without an SVD.

    X = matrix / ‖matrix‖, then X = a·X + (b·A + c·A²) X with A = X Xᵀ, some times; a wide matrix, since A is then small. A matrix of zeros
    stays one. (Jordan et al. 2024; Bernstein and Newhouse 2024, "Old optimizer, new norm".)
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / max(math.sqrt(sum(x * x).item()), SMALLEST_NORM)
    for _ in range(iterations):
        gram = x @ x.mT
        x = x * a + (gram * b + gram @ gram * c) @ x
    return x.mT if tall else x
