"""Where values live: x.to("cuda") is the one way to the GPU, and x.to("cpu") the way back. Gradients go back to where x was."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.backends import backend_named, backend_of
from tinygradconv.backends.live import refuse
from tinygradconv.tensor import Tensor


@primitive
def _move(be: Any, x: Any, *, device: str, source: str) -> Any:
    return backend_named(device).asarray(be.to_numpy(x))


_move.vjp(x=lambda g, device, source: _move(g, device=source, source=device))
_move.name = "to"


def to(x: Tensor, device: str) -> Tensor:
    """The tensor on another device ('cpu' or 'cuda'); itself where it is there already.

    A gradient returns to where x is. RuntimeError says why this machine has no GPU to compute on; ValueError, which devices there are.
    """
    source = x.device
    if device == source:
        return x
    backend_named(device)
    if x.size > 1 and source == "cpu":
        refuse("moves values from the CPU to the GPU, which would be those of the recording for ever: give them as an argument")
    return _move(x, device=device, source=source)


def beside(x: Tensor, values: np.ndarray) -> Tensor:
    """`values` as a constant on the device of x, for op authors: they may be shared with whoever asks for the same."""
    return Tensor.of(backend_of(x.data).constant(values))


def leaf_on(device: str, x: Tensor) -> Tensor:
    """A parameter or a constant on another device, a leaf there if x requires a gradient; x itself where it is there already."""
    if x.device == device:
        return x
    moved = x.detach().to(device)
    return moved.requires_grad_() if x.requires_grad else moved


Tensor.to = to
