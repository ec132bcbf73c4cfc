"""What a case gives on a device: its value, and its derivatives of first and second order."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tinygradconv as tgc

from .cases import Case


def derived(case: Case, device: str, dtype: Any) -> list[list[np.ndarray]]:
    """[[y], [y recorded], gradients, gradients recorded, second derivatives], with g and w from fixed seeds; [[y]] where `order` is 0.

    Gradients are ∂/∂each input of Σ g·y, second derivatives ∂/∂each input and g of Σ w·gradients. What is not recorded, and what is, goes
    through other kernels where ops are fused.
    """
    constants = [tgc.Tensor(a).to(device) for a in case.constants]
    plain = case.f(*[tgc.Tensor(a.astype(dtype)).to(device) for a in case.floats], *constants)
    if case.order == 0:
        return [[plain.numpy()]]
    xs = [tgc.Tensor(a.astype(dtype)).to(device).requires_grad_() for a in case.floats]
    y = case.f(*xs, *constants)
    g = leaf(y.shape, 100, device, dtype)
    gradients, first = tgc.grad(y, xs, g), tgc.grad(y, xs, g, create_graph=True)
    total = (first[0] * leaf(first[0].shape, 200, device, dtype)).sum()
    for i, d in enumerate(first[1:], 1):
        total = total + (d * leaf(d.shape, 200 + i, device, dtype)).sum()
    return [[t.numpy() for t in stage] for stage in ([plain], [y], gradients, first, tgc.grad(total, [*xs, g]))]


def leaf(shape: tuple[int, ...], seed: int, device: str, dtype: Any) -> tgc.Tensor:
    """Fixed numbers, exact in float32."""
    return tgc.Tensor(np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32).astype(dtype)).to(device).requires_grad_()


def error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """‖found − expected‖ / ‖expected‖ of some arrays as one vector, as a derivative that is nearly 0 has no digits of its own.

    Infinite where shapes differ or something is not finite, and where what is not floating is not equal.
    """
    size = difference = 0.0
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape:
            return np.inf
        if other.dtype.kind != "f":
            size, difference = size + 1, difference + (0 if (one == other).all() else np.inf)
            continue
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            return np.inf
        size, difference = size + float((other ** 2).sum()), difference + float(((one.astype(np.float64) - other) ** 2).sum())
    return float(np.sqrt(difference / size)) if size else np.inf if difference else 0.0


def errors(found: Sequence[Sequence[np.ndarray]], expected: Sequence[Sequence[np.ndarray]]) -> list[float]:
    """The errors of what `derived` gave, stage by stage."""
    return [error(one, other) for one, other in zip(found, expected, strict=True)]
