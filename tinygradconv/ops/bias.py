"""What the rules of fused ops share: the way back through an activation and a bias, y = act(z), z = … + bias.

    dz = g · act'(z), from y alone:   relu' = 1 where y > 0, else 0     tanh' = 1 − y²
    dbias = Σ dz over all axes but the last

`bias_backward` is one kernel, for a backward pass that is not recorded; `activation_slope` is made of ops that have rules, for one that is.
"""
from __future__ import annotations

from typing import Any

from tinygradconv.arrays import as_rows, dtype_of, shape_of
from tinygradconv.autodiff import primitive
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.ops.elementwise import gate
from tinygradconv.tensor import Tensor


@primitive(differentiable=False, byproducts=("dbias",))
def _bias_backward(be: Any, g: Any, y: Any, *, activation: str) -> Any:
    dz, dbias = be.like(g), be.empty(shape_of(g)[-1:], dtype_of(g))
    be.run("bias_backward", as_rows(g), as_rows(y), as_rows(dz), dbias, ACTIVATIONS[activation])
    return dz, dbias


@primitive(differentiable=False)
def _column_sums(be: Any, g: Any) -> Any:
    dbias = be.empty(shape_of(g)[-1:], dtype_of(g))
    be.run("bias_backward", as_rows(g), None, None, dbias, ACTIVATIONS[None])
    return dbias


def bias_backward(g: Tensor, y: Tensor | None, *, activation: str | None) -> tuple[Tensor, Tensor]:
    """(dz, dbias): g · act'(z) from y = act(z), and its sum over all axes but the last, in one pass; not differentiable.

    g and y (…, C), of one floating dtype; dbias (C,). Without an activation dz is g itself, not a copy, and y is not looked at.
    """
    if activation is None:
        return g, _column_sums(g)
    return _bias_backward.with_byproducts(g, y, activation=activation)


def activation_slope(g: Tensor, y: Tensor | None, *, activation: str | None) -> Tensor:
    """g · act'(z) from y = act(z), of ops that can be differentiated again; g itself without an activation."""
    if activation is None:
        return g
    return gate(g, y.detach()) if activation == "relu" else g * (1 - y * y)


def checked_activation(name: str, activation: Any, *, among: tuple[str, ...] = ("relu", "tanh")) -> str | None:
    """`activation` if it is None or one of `among`, else ValueError."""
    if activation is not None and activation not in among:
        raise ValueError(f"{name}: activation must be None or {' or '.join(map(repr, among))}, got {activation!r}. "
                         f"Apply others to the result")
    return activation
