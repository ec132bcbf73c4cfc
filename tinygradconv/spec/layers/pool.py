"""Pooling: windows that keep the channels apart; adaptive, global, and across channels. Each follows its input: images or sequences."""
from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any, ClassVar

from tinygradconv.ops import adaptive
from tinygradconv.ops import pool as ops
from tinygradconv.tensor import Tensor

from ..base import Layer, Shape, layer
from ..fields import choice, finite, flag, number, padding_field, pair, size, stride_field
from .window import geometry_of, span_and_stride, spatial_axes, without_batch


class _Pool(Layer):
    """Windows of `kernel_size`, side by side unless `stride` says otherwise; with `ceil_mode` a smaller last window is kept."""

    op: ClassVar[str]

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        axes = spatial_axes(where, shapes[0])
        geo = geometry_of(where, self, shapes[0])
        for pads, span in (((geo.top, geo.bottom), geo.span[0]), ((geo.left, geo.right), geo.span[1])):
            if max(pads) > span // 2:
                raise ValueError(f"{where}: padding must be at most half of the window, got {max(pads)} for a window that spans {span}")
        return without_batch(geo, axes)

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return span_and_stride(geometry_of("", self, shape), len(shape) - 1)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        function = getattr(ops, f"{self.op}_pool{inputs[0].ndim - 2}d")
        return function(inputs[0], self.kernel_size, **self._more(), stride=self.stride, padding=self.padding, dilation=self.dilation,
                        ceil_mode=self.ceil_mode)

    def _more(self) -> dict[str, Any]:
        return {}


@layer
class MaxPool(_Pool):
    """The largest value of each window; the gradient goes to the first of equals."""

    op = "max"

    kernel_size: int | tuple[int, int] = pair()
    _: KW_ONLY
    stride: Any = stride_field()
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    ceil_mode: bool = flag(False)


@layer
class AvgPool(_Pool):
    """The mean of each window, over the cells that lie inside the image."""

    op = "avg"

    kernel_size: int | tuple[int, int] = pair()
    _: KW_ONLY
    stride: Any = stride_field()
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    ceil_mode: bool = flag(False)


@layer
class SumPool(_Pool):
    """The sum of each window."""

    op = "sum"

    kernel_size: int | tuple[int, int] = pair()
    _: KW_ONLY
    stride: Any = stride_field()
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    ceil_mode: bool = flag(False)


@layer
class LpPool(_Pool):
    """(Σ |x|^p)^(1/p) of each window; p = 2 is the L2 norm."""

    op = "lp"

    kernel_size: int | tuple[int, int] = pair()
    p: float = number(2.0, at_least=1)
    _: KW_ONLY
    stride: Any = stride_field()
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    ceil_mode: bool = flag(False)

    def _more(self) -> dict[str, Any]:
        return {"p": self.p}


def _weights(where: str, name: str, value: Any) -> Any:
    """None, or numbers as nested tuples: rows of equal length for an image, one row for a sequence."""
    if value is None:
        return None
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(rows, (tuple, list)) or not rows:
        raise TypeError(f"{where}: {name} must be None or rows of numbers, got {value!r}")
    nested = isinstance(rows[0], (tuple, list))
    if nested and any(not isinstance(row, (tuple, list)) or len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"{where}: the rows of {name} must be equally long, got {value!r}")
    settled = tuple(tuple(finite(where, name, one) for one in row) for row in (rows if nested else [rows]))
    if min(map(min, settled), default=-1) < 0 or max(map(max, settled)) == 0:
        raise ValueError(f"{where}: {name} must not be negative and not all 0, got {value!r}")
    return settled if nested else settled[0]


@layer
class DistancePool(_Pool):
    """The weighted mean of each window; `weights` fall with the distance from the central pixel (None: a Gaussian), or are your own."""

    op = "distance"

    kernel_size: int | tuple[int, int] = pair()
    weights: Any = choice(None, _weights)
    _: KW_ONLY
    stride: Any = stride_field()
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    ceil_mode: bool = flag(False)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        shape = super().output_shape(where, *shapes)
        sizes = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * (len(shape) - 1)
        if self.weights is not None:
            given = (len(self.weights), len(self.weights[0])) if isinstance(self.weights[0], tuple) else (len(self.weights),)
            if given != sizes:
                raise ValueError(f"{where}: weights must have the shape {sizes} of the window, got {given}")
        return shape

    def _more(self) -> dict[str, Any]:
        return {"weights": self.weights}


class _AdaptivePool(Layer):
    """Windows as equal as can be, so many that the output has `output_size` places."""

    op: ClassVar[str]

    def _sizes(self, where: str, shape: Shape) -> tuple[int, ...]:
        axes = spatial_axes(where, shape)
        if isinstance(self.output_size, tuple):
            if axes == 1:
                raise ValueError(f"{where} got the sequence {shape}, for which output_size is one integer, not {self.output_size}")
            return self.output_size
        return (self.output_size,) * axes

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        return (*self._sizes(where, shapes[0]), shapes[0][-1])

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        sizes = self._sizes("", shape)
        return tuple(-(-n // out) for n, out in zip(shape, sizes)), tuple(max(1, n // out) for n, out in zip(shape, sizes))

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return getattr(adaptive, f"adaptive_{self.op}_pool{inputs[0].ndim - 2}d")(inputs[0], self.output_size)


@layer
class AdaptiveAvgPool(_AdaptivePool):
    """The means of output_size windows as equal as can be, whatever the size of the image."""

    op = "avg"

    output_size: int | tuple[int, int] = pair()


@layer
class AdaptiveMaxPool(_AdaptivePool):
    """The largest values of output_size windows as equal as can be, whatever the size of the image."""

    op = "max"

    output_size: int | tuple[int, int] = pair()


class _GlobalPool(Layer):
    """One value per channel: (H, W, C) becomes (C,)."""

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        spatial_axes(where, shapes[0])
        return shapes[0][-1:]

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return shape[:-1], shape[:-1]


@layer
class GlobalAvgPool(_GlobalPool):
    """The mean of each channel: (H, W, C) becomes (C,)."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return adaptive.global_avg_pool(inputs[0])


@layer
class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel: (H, W, C) becomes (C,)."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return adaptive.global_max_pool(inputs[0])


@layer
class ChannelMaxPool(Layer):
    """The largest of each `size` neighbouring channels: over separately learned filters, it does not matter which of them answers."""

    size: int = size()

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if shapes[0][-1] % self.size:
            raise ValueError(f"{where}: size={self.size} must divide the {shapes[0][-1]} channels of the input {shapes[0]}")
        return (*shapes[0][:-1], shapes[0][-1] // self.size)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return adaptive.channel_max_pool(inputs[0], self.size)
