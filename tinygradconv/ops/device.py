"""Where values live: x.to("cuda") is the one way to the GPU, and x.to("cpu") the way back. Gradients go back to where x was."""
from __future__ import annotations

from typing import Any

from tinygradconv.autodiff import primitive
from tinygradconv.backends import backend_named
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
    return _move(x, device=device, source=source)


Tensor.to = to
