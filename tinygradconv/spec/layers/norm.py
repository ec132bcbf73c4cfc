"""Normalisations: batch, layer, group and local response."""
from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from tinygradconv.ops import norm as ops
from tinygradconv.ops.elementwise import sqrt
from tinygradconv.ops.shard import current_shard
from tinygradconv.ops.sync_batch_norm import sync_batch_norm
from tinygradconv.tensor import Tensor

from ..base import Layer, Parameter, Shape, layer
from ..fields import choice, flag, number, size, whole
from ..initial import Constant
from .window import spatial_axes

ONES, ZEROS = Constant(1.0), Constant(0.0)


@layer
class BatchNorm(Layer):
    """(x − mean) / √(variance + epsilon) · weight + bias, per channel over batch and positions.

    In training the statistics are the batch's, and the buffers move towards them by `momentum`: running_mean, and running_var with the
    unbiased variance (PyTorch's rule). In evaluation the buffers are used. Parameters: weight, bias (channels,).

    Where several ranks share a batch (ops/shard.py) and its statistics, those of the whole batch are taken.
    """

    keeps_order, role, takes = True, "norm", frozenset({"add", "relu"})

    _: KW_ONLY
    momentum: float = number(0.1, at_least=0, at_most=1)
    epsilon: float = number(1e-5, above=0)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {"weight": Parameter(shape[-1:], ONES), "bias": Parameter(shape[-1:], ZEROS)}

    def buffers(self, shape: Shape) -> dict[str, tuple[Shape, float]]:
        return {"running_mean": (shape[-1:], 0.0), "running_var": (shape[-1:], 1.0)}

    def scale_and_shift(self, site: Any) -> tuple[Tensor, Tensor]:
        """(a, b) of evaluation, y = x · a + b per channel, from the running statistics."""
        a = site.parameters["weight"] / sqrt(site.buffer("running_var") + self.epsilon)
        return a, site.parameters["bias"] - site.buffer("running_mean") * a

    def apply(self, *inputs: Tensor, site: Any, residual: Tensor | None = None, activation: str | None = None,
              moments: dict | None = None) -> Tensor:
        x, scale, shift = inputs[0], site.parameters["weight"], site.parameters["bias"]
        after = {"epsilon": self.epsilon, "residual": residual, "activation": activation}
        shard = current_shard()
        together = shard is not None and shard.group is not None
        if not site.train or (shard is not None and not together and not x.shape[0]):          # or it is a rank without rows of the batch
            return ops.batch_norm_inference(x, scale, shift, site.buffer("running_mean"), site.buffer("running_var"), **after)
        if together:
            y, mean, variance, counted = sync_batch_norm(x, scale, shift, shard.group, **after)
            count = counted.item()
            self._check_count(site, x, count)
        else:
            count = x.size // x.shape[-1]
            self._check_count(site, x, count)
            y, mean, variance = ops.batch_norm(x, scale, shift, moments=moments, **after)
        site.move("running_mean", mean, 1 - self.momentum, self.momentum)
        site.move("running_var", variance, 1 - self.momentum, self.momentum * count / max(count - 1, 1))
        return y

    @staticmethod
    def _check_count(site: Any, x: Tensor, count: int) -> None:
        if count < 2 and site.is_real:
            raise ValueError(f"{site.where} in training needs more than one value per channel; got x {x.shape}. Use a larger batch")


@layer
class LayerNorm(Layer):
    """(x − mean) / √(variance + epsilon) · weight + bias, per image over the last `axes` axes (1: the channels of each position).

    Parameters, unless affine=False: weight and bias, shaped like those axes.
    """

    keeps_order = True               # of the places in a vector, which weights trained channels-first follow

    _: KW_ONLY
    axes: int = size(1)
    epsilon: float = number(1e-5, above=0)
    affine: bool = flag(True)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if self.axes > len(shapes[0]):
            raise ValueError(f"{where} over the last {self.axes} axes got {shapes[0]}, which has {len(shapes[0])}")
        return shapes[0]

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {"weight": Parameter(shape[-self.axes:], ONES), "bias": Parameter(shape[-self.axes:], ZEROS)} if self.affine else {}

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.layer_norm(inputs[0], site.parameters.get("weight"), site.parameters.get("bias"), axis=tuple(range(-self.axes, 0)),
                              epsilon=self.epsilon)


@layer
class GroupNorm(Layer):
    """(x − mean) / √(variance + epsilon) · weight + bias, per image over positions and each of `groups` groups of channels.

    Parameters, unless affine=False: weight, bias (channels,).
    """

    groups: int = size()
    _: KW_ONLY
    epsilon: float = number(1e-5, above=0)
    affine: bool = flag(True)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if shapes[0][-1] % self.groups:
            raise ValueError(f"{where}: groups={self.groups} must divide the {shapes[0][-1]} channels of the input {shapes[0]}")
        return shapes[0]

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {"weight": Parameter(shape[-1:], ONES), "bias": Parameter(shape[-1:], ZEROS)} if self.affine else {}

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.group_norm(inputs[0], self.groups, site.parameters.get("weight"), site.parameters.get("bias"), epsilon=self.epsilon)


@layer
class LRN(Layer):
    """x[c] / (k + alpha/size · Σ x[c′]²)^beta over the `size` channels c′ around c: AlexNet's local response normalisation."""

    size: int = choice(5, whole)
    _: KW_ONLY
    alpha: float = number(1e-4)
    beta: float = number(0.75)
    k: float = number(2.0)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        spatial_axes(where, shapes[0])
        return shapes[0]

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.local_response_norm(inputs[0], self.size, alpha=self.alpha, beta=self.beta, k=self.k)
