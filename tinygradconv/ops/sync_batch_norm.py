"""What ranks compute together within the graph: a sum over them, and batch norm with the statistics of the whole batch.

L = Σ_r L_r is the sum of the ranks' losses. y = Σ_s x_s reaches every rank, so ∂L/∂x_s = Σ_r ∂L/∂y_r: the sum is its own adjoint. Every
rank calls these ops, and their rules, in the same order. A few numbers for each channel go from rank to rank, through the host where x is
on a GPU.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.autodiff import Primitive, primitive, recording
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.ops.batch_norm import operands, positive
from tinygradconv.ops.bias import activation_slope, checked_activation
from tinygradconv.ops.elementwise import sqrt, square
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor

__all__ = ["all_reduce_sum", "sync_batch_norm"]


@primitive
def _all_reduce_sum(be: Any, x: Any, *, group: Any) -> Any:
    y = be.empty(x.shape, x.dtype)
    be.run("copy", x, y)
    group.sum(y)
    return y


_all_reduce_sum.vjp(x=lambda g, group: _all_reduce_sum(g, group=group))
_all_reduce_sum.name = "all_reduce_sum"


@numpy_names
def all_reduce_sum(x: Any, group: Any) -> Tensor:
    """y = Σ x over the ranks of `group` (tinygradconv.parallel), the same on each, added in their order; x has one shape on all of them."""
    (x,) = floating_tensors("all_reduce_sum", ("x",), (x,))
    return _all_reduce_sum(x, group=group)


def _moments(be: Any, x: Any, epsilon: float, group: Any) -> tuple[Any, ...]:
    """(x̂ by this rank's own statistics, its mean and variance in double, those of all rows, the number of all rows).

    Of each rank's number of rows M_r, mean and variance: M = Σ M_r, mean = Σ M_r · mean_r / M and variance = Σ M_r · (variance_r +
    (mean_r − mean)²) / M (Chan, Golub and LeVeque 1979), in double, in the order of the ranks. A rank without rows counts for nothing.
    """
    M, C = x.shape
    normal, zeros, ones = be.empty(x.shape, x.dtype), np.zeros(C, x.dtype), np.ones(C, x.dtype)
    mean, variance = be.asarray(zeros.copy()), be.asarray(ones.copy())
    if M:
        be.run("batch_norm_forward", x, be.asarray(ones), be.asarray(zeros), None, normal, mean, variance, None, epsilon,
               ACTIVATIONS[None])
    own = np.stack([np.full(C, M, np.float64), be.to_numpy(mean), be.to_numpy(variance)])
    counts, means, variances = group.gather(own).transpose(1, 0, 2)
    total = counts.sum(0)
    if not total[0]:
        raise ValueError("sync_batch_norm: an empty batch has no mean; no rank has any rows. Skip the batch")
    overall = (counts * means).sum(0) / total
    spread = (counts * (variances + (means - overall) ** 2)).sum(0) / total
    return normal, own[1], own[2], overall, spread, int(total[0])


def _fused(activation: str | None) -> Primitive:
    """The op y = act(scale · x̂ + shift + residual), x̂ by the statistics of all ranks: one per activation, as in batch_norm.py."""
    @primitive(optional=("residual",), byproducts=("mean", "variance", "count"), name="sync_batch_norm")
    def fused(be: Any, x: Any, scale: Any, shift: Any, residual: Any, *, epsilon: float, group: Any) -> Any:
        """Of x̂_r = (x − mean_r) / σ_r, which a kernel gives beside its statistics: x − mean = x̂_r · σ_r + (mean_r − mean)."""
        rows = -1, x.shape[-1]
        flat = x.reshape(x.size // x.shape[-1], x.shape[-1])
        normal, own_mean, own_variance, mean, variance, count = _moments(be, flat, epsilon, group)
        slope = be.to_numpy(scale) / np.sqrt(variance + epsilon)
        factor, offset = slope * np.sqrt(own_variance + epsilon), be.to_numpy(shift) + slope * (own_mean - mean)
        y = be.empty(x.shape, x.dtype)
        there = [be.asarray(values.astype(x.dtype)) for values in (factor, offset, mean, variance)]
        if x.size:
            be.run("affine", normal, *there[:2], None if residual is None else residual.reshape(rows), y.reshape(rows),
                   ACTIVATIONS[activation])
        return y, *there[2:], be.asarray(np.array(count))

    def rule(g: Tensor, x: Tensor, scale: Tensor, mean: Tensor, variance: Tensor, count: Tensor, epsilon: float, group: Any,
             y: Tensor | None = None) -> dict[str, Tensor]:
        if recording():
            return _composed_rule(activation_slope(g, y, activation=activation), x, scale, count.item(), epsilon, group)
        dz = g if y is None else activation_slope(g, y, activation=activation)
        dx, dscale, dshift = _backward.with_byproducts(dz, x, scale, mean, variance, count, epsilon=epsilon, group=group)
        return {"x": dx, "scale": dscale, "shift": dshift, "residual": dz}

    if activation is None:
        return fused.joint_vjp(lambda g, x, scale, mean, variance, count, epsilon, group:
                               rule(g, x, scale, mean, variance, count, epsilon, group))
    return fused.joint_vjp(rule)


@primitive(differentiable=False, byproducts=("dscale", "dshift"))
def _backward(be: Any, dz: Any, x: Any, scale: Any, mean: Any, variance: Any, count: Any, *, epsilon: float, group: Any) -> Any:
    """dx = scale · inv · (dz − S / M − x̂ · D / M), S = Σ dz and D = Σ dz·x̂ over all ranks; dscale, dshift are of this rank's rows.

    The kernel of one rank gives dx with its own sums s, d and M_r rows in their place; what is missing is added,
    scale · inv · ((s / M_r − S / M) + (x − mean) · inv · (d / M_r − D / M)).
    """
    M, C = x.size // x.shape[-1], x.shape[-1]
    flat = M, C
    dx, dscale, dshift = be.empty(x.shape, x.dtype), be.asarray(np.zeros(C, x.dtype)), be.asarray(np.zeros(C, x.dtype))
    if M:
        near = be.empty(flat, x.dtype)
        be.run("batch_norm_backward", dz.reshape(flat), x.reshape(flat), None, scale, mean, variance, near, dscale, dshift, None, epsilon,
               ACTIVATIONS[None])
    own = np.stack([be.to_numpy(dshift), be.to_numpy(dscale)]).astype(np.float64)
    S, D = group.gather(own).sum(0)
    if M:
        inverse, total = 1 / np.sqrt(be.to_numpy(variance).astype(np.float64) + epsilon), be.to_numpy(count)
        gain = be.to_numpy(scale) * inverse
        slope, offset = gain * inverse * (own[1] / M - D / total), gain * (own[0] / M - S / total)
        there = [be.asarray(values.astype(x.dtype)) for values in (np.ones(C), -be.to_numpy(mean), slope, offset)]
        centred = be.empty(flat, x.dtype)
        be.run("affine", x.reshape(flat), *there[:2], None, centred, ACTIVATIONS[None])
        be.run("affine", centred, *there[2:], near, dx.reshape(flat), ACTIVATIONS[None])
    return dx, dscale, dshift


def _composed_rule(dz: Tensor, x: Tensor, scale: Tensor, count: int, epsilon: float, group: Any) -> dict[str, Tensor]:
    """The same cotangents, of small ops."""
    axes = tuple(range(x.ndim - 1))

    def mean(values: Tensor) -> Tensor:
        return all_reduce_sum(values.sum(axes), group) / count
    centred = x - mean(x)
    inverse = 1 / sqrt(mean(square(centred)) + epsilon)
    normal = centred * inverse
    return {"x": scale * inverse * (dz - mean(dz) - normal * mean(dz * normal)), "scale": (dz * normal).sum(axes), "shift": dz.sum(axes),
            "residual": dz}


_sync_batch_norm = {None: _fused(None), "relu": _fused("relu")}


@numpy_names
def sync_batch_norm(x: Any, scale: Any, shift: Any, group: Any, *, epsilon: float = 1e-5, residual: Any = None,
                    activation: str | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(y, mean, variance, count): batch_norm of the batch whose rows the ranks of `group` have: each gets the y of its own rows.

    x (N, …, C), where N may differ between the ranks, and be 0 on some; scale, shift, mean, variance (C,); residual like x, or None;
    `activation` None or 'relu'; count, the values per channel on all ranks. As with batch_norm the statistics are constants to whoever
    uses them. The gradients of scale and shift are those of this rank's rows: their sum over the ranks is the batch's.
    ValueError: no rank has any rows; wrong shapes.
    """
    name = "sync_batch_norm"
    x, scale, shift, residual = operands(name, residual, x=x, scale=scale, shift=shift)
    op = _sync_batch_norm[checked_activation(name, activation, among=("relu",))]
    return op.with_byproducts(x, scale, shift, residual, epsilon=positive(name, epsilon), group=group)

