"""Clipping: gradients that are too large are made smaller before an optimiser sees them."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.ops.elementwise import clip, minimum, sqrt, square
from tinygradconv.ops.reduce import sum
from tinygradconv.tensor import Tensor

from .checks import number
from .flat import cut, flattened

Gradients = Mapping[str, Tensor] | Iterable[Tensor]
ONE_ON_A_GPU = [{("cuda", np.dtype(kind))} for kind in ("float32", "float64")]         # device and dtype of all gradients together


class GradientError(ArithmeticError):
    """A gradient is NaN or infinite; the message says whose."""


def clip_by_global_norm(gradients: Gradients, limit: float) -> tuple[Any, float]:
    """(each gradient · min(1, limit / (‖g‖ + 10⁻⁶)), ‖g‖), where ‖g‖ = √Σ g² over all gradients together, before clipping.

    A dict by path gives a dict, anything else a list; without need for clipping they are the tensors that came. (Pascanu, Mikolov and
    Bengio 2013, algorithm 1; the 10⁻⁶ is PyTorch's.) ValueError: limit is not above 0. GradientError: a gradient is not finite, or on
    the CPU too large to be squared.
    """
    number("clip_by_global_norm", "limit", limit, above=0)
    named = _named("clip_by_global_norm", gradients)
    with no_grad():
        if {(g.device, g.dtype) for g in named.values()} in ONE_ON_A_GPU:
            clipped, norm = clipped_there(named, limit)
            if math.isfinite(norm := norm.item()):
                return _like(gradients, clipped), norm
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


def clipped_there(named: Mapping[Any, Tensor], limit: float) -> tuple[dict[Any, Tensor], Tensor]:
    """`clip_by_global_norm` of gradients on a GPU, the norm a tensor () float64: nothing is read on the host.

    The gradients have one dtype. Their squares are float64, all in one sum, so the norm is finite where they are.
    """
    each = list(named.values())
    with no_grad():
        flat = flattened(each)
        norm = sqrt(sum(square(flat.astype(np.float64))))
        scaled = flat * minimum(limit / (norm + 1e-6), 1.0).astype(flat.dtype)
    return dict(zip(named, cut(scaled, each))), norm


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
