"""Layers that change a shape or nothing: Flatten, Reshape, Identity."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING
from typing import Any

from tinygradconv.ops.shape import reshape
from tinygradconv.tensor import Tensor

from ..base import Layer, Shape, layer
from ..fields import choice, input_shape


@layer
class Flatten(Layer):
    """The values of one image as a vector, in the order height, width, channels.

    Inference remembers the shape on the layers that follow (Step.flattened): weights that were trained channels-first are permuted by it.
    """

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        return (math.prod(shapes[0]),)

    def order(self, flows: Sequence[Any]) -> tuple[Shape, ...] | None:
        return flows[0].flattened or ((flows[0].shape,) if len(flows[0].shape) > 1 else None)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return reshape(inputs[0], (inputs[0].shape[0], math.prod(inputs[0].shape[1:])))


@layer
class Reshape(Layer):
    """The values of one image, in the same order, under `shape`, which leaves the batch axis out."""

    shape: Shape = choice(MISSING, lambda where, name, value: input_shape(where, value))

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if math.prod(shapes[0]) != math.prod(self.shape):
            got = math.prod(shapes[0])
            raise ValueError(f"{where} to {self.shape} needs {math.prod(self.shape)} values; got {shapes[0]}, which is {got}")
        return self.shape

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return reshape(inputs[0], (inputs[0].shape[0], *self.shape))


@layer
class Identity(Layer):
    """x itself."""

    keeps_order = True

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return inputs[0]
