"""Clipping: gradients that are too large are made smaller before an optimiser sees them."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tinygradconv.autodiff import no_grad
from tinygradconv.ops.elementwise import clip
from tinygradconv.ops.reduce import sum
from tinygradconv.tensor import Tensor

from .checks import number

Gradients = Mapping[str, Tensor] | Iterable[Tensor]


class GradientError(ArithmeticError):
    """A gradient is NaN or infinite; the message says whose."""


def clip_by_global_norm(gradients: Gradients, limit: float) -> tuple[Any, float]:
    """(each gradient · min(1, limit / (‖g‖ + 10⁻⁶)), ‖g‖), where ‖g‖ = √Σ g² over all gradients together, before clipping.

    A dict by path gives a dict, anything else a list; without need for clipping they are the tensors that came. (Pascanu, Mikolov and
    Bengio 2013, algorithm 1; the 10⁻⁶ is PyTorch's.) ValueError: limit is not above 0. GradientError: a gradient is not finite, or too
    large to be squared.
    """
    number("clip_by_global_norm", "limit", limit, above=0)
    named = _named("clip_by_global_norm", gradients)
    with no_grad():
        squares = {path: sum(g * g).item() for path, g in named.items()}
        for path, square in squares.items():
            if not math.isfinite(square):
                raise GradientError(f"clip_by_global_norm: the norm of the gradient of {path} is not finite, its square is {square}. Try a "
                                    f"smaller rate; TGC_ANOMALY=1 names the op and the line where the first NaN or infinity was born")
        norm = math.sqrt(math.fsum(squares.values()))
        factor = limit / (norm + 1e-6)
        if factor < 1:
            named = {path: g * factor for path, g in named.items()}
    return _like(gradients, named), norm


def clip_by_value(gradients: Gradients, limit: float) -> Any:
    """Each gradient with its values between −limit and limit. A dict by path gives a dict, anything else a list.

    This changes the direction of a step, where clipping by the norm keeps it. NaN stays NaN. ValueError: limit is not above 0.
    """
    number("clip_by_value", "limit", limit, above=0)
    with no_grad():
        return _like(gradients, {path: clip(g, -limit, limit) for path, g in _named("clip_by_value", gradients).items()})


def _named(where: str, gradients: Gradients) -> dict[Any, Tensor]:
    """Gradients by path, or by their numbers."""
    named = dict(gradients) if isinstance(gradients, Mapping) else dict(enumerate(gradients))
    for path, g in named.items():
        if not isinstance(g, Tensor):
            raise TypeError(f"{where}: the gradient of {path} must be a Tensor, got {type(g).__name__}")
    return named


def _like(gradients: Gradients, named: dict[Any, Tensor]) -> Any:
    return named if isinstance(gradients, Mapping) else list(named.values())
