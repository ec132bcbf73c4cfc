"""Layers that change a shape or nothing: Flatten, Reshape, Pad, PadChannels, Subsample, Identity."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING
from typing import Any

from tinygradconv.ops.join import pad
from tinygradconv.ops.shape import reshape
from tinygradconv.tensor import Tensor

from ..base import Layer, Shape, layer
from ..fields import choice, input_shape, number, padding, size
from .window import spatial_axes


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


def _border(where: str, name: str, value: Any) -> Any:
    """Padding of an image or a sequence, in numbers."""
    if isinstance(value, str):
        raise ValueError(f"{where}: {name} must be integers, got {value!r}")
    return padding(where, name, value)


def _mode(where: str, name: str, value: Any) -> str:
    if value not in ("constant", "edge", "reflect"):
        raise ValueError(f"{where}: {name} must be 'constant', 'edge' or 'reflect', got {value!r}")
    return value


@layer
class Pad(Layer):
    """A border of `padding` cells: filled with `value` ("constant"), with the nearest cell ("edge"), or with a mirror image ("reflect").

    `padding` of an image is one integer, (rows, columns) or ((top, bottom), (left, right)); of a sequence one integer or (before, after).
    """

    padding: Any = choice(MISSING, _border)
    mode: str = choice("constant", _mode)
    value: float = number(0.0)

    def _widths(self, where: str, shape: Shape) -> tuple[tuple[int, int], ...]:
        """(before, after) of each axis but the channels."""
        if len(shape) not in (2, 3):
            raise ValueError(f"{where} expects an image (H, W, C) or a sequence (L, C); got {shape}. Put it before Flatten()")
        if isinstance(self.padding, int):
            return ((self.padding, self.padding),) * (len(shape) - 1)
        if isinstance(self.padding[0], tuple):
            if len(shape) == 2:
                raise ValueError(f"{where}: padding {self.padding} is that of an image; a sequence {shape} takes one integer "
                                 f"or (before, after)")
            return self.padding
        return (self.padding,) if len(shape) == 2 else tuple((one, one) for one in self.padding)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        shape = shapes[0]
        widths = self._widths(where, shape)
        for width, n in zip(widths, shape):
            if self.mode == "reflect" and max(width) >= n:
                raise ValueError(f"{where}: padding {self.padding} cannot be reflected in {shape}: it must be smaller than the axis, {n}")
        return (*(before + n + after for (before, after), n in zip(widths, shape)), shape[-1])

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        widths = ((0, 0), *self._widths(site.where, inputs[0].shape[1:]), (0, 0))
        return pad(inputs[0], widths, self.mode, constant_values=self.value)


@layer
class PadChannels(Layer):
    """Channels of zeros on both sides of those that are there, `channels` in all: the odd one out goes behind.

    With Subsample, the shortcut without parameters of He et al. 2016, section 4.2 (option A).
    """

    channels: int = size()

    def _widths(self, where: str, shape: Shape) -> tuple[int, int]:
        more = self.channels - shape[-1]
        if more < 0:
            raise ValueError(f"{where} to {self.channels} channels got {shape}, which has more. A Conv({self.channels}, 1) can lessen them")
        return more // 2, more - more // 2

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        self._widths(where, shapes[0])
        return (*shapes[0][:-1], self.channels)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        x = inputs[0]
        return pad(x, (*((0, 0),) * (x.ndim - 1), self._widths(site.where, x.shape)))


@layer
class Subsample(Layer):
    """Every `stride`-th place of an image or a sequence along each axis, from the first on, and nothing of the others."""

    stride: int = size()

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        spatial_axes(where, shapes[0])
        return (*(-(-n // self.stride) for n in shapes[0][:-1]), shapes[0][-1])

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (1,) * (len(shape) - 1), (self.stride,) * (len(shape) - 1)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        every = slice(None, None, self.stride)
        return inputs[0][(slice(None), *(every,) * (inputs[0].ndim - 2))]


@layer
class Identity(Layer):
    """x itself."""

    keeps_order = True

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return inputs[0]
