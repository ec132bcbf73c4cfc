"""Transposed convolutions: the adjoints of Conv and Conv1d, with the weights of the convolution that they transpose."""
from __future__ import annotations

import math
from dataclasses import KW_ONLY
from fractions import Fraction
from typing import Any

from tinygradconv.geometry import Conv2dGeometry
from tinygradconv.ops import conv as ops
from tinygradconv.ops.windows import row_padding

from ..base import Parameter, Shape, layer
from ..fields import flag, padding1d_field, padding_field, pair, size
from ..initial import Constant, Initialiser, initialiser
from .conv import Convolution
from .window import check_axes


class _Transposed(Convolution):
    """Convolutions run backwards: each value of x spreads a copy of the filter over y."""

    def geometry(self, where: str, shape: Shape) -> Conv2dGeometry:
        """The windows of the convolution that this one transposes: its output has our `shape`, its input is ours to make."""
        check_axes(where, shape, self.axes)
        self.check_groups(where, shape)
        weight = (*self.cells(), self.channels // self.groups, shape[-1])
        options = self.stride, self.padding, self.output_padding, self.dilation
        if self.axes == 1:
            shape, weight = (1, *shape), (1, *weight)
            options = (1, self.stride), row_padding(where, self.padding), (0, self.output_padding), (1, self.dilation)
        return ops.transposed_geometry(where, (1, *shape), weight, *options, self.groups)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        return self.geometry(where, shapes[0]).x_shape[3 - self.axes:]

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        cells = math.prod(self.cells())
        fans = cells * shape[-1] // self.groups, cells * self.channels // self.groups
        weight = Parameter((*self.cells(), self.channels // self.groups, shape[-1]), self.init, *fans)
        return {"weight": weight, **({"bias": Parameter((self.channels,), self.bias_init, *fans)} if self.bias else {})}

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        spans, strides = super().window(shape)
        return tuple(-(-span // stride) for span, stride in zip(spans, strides)), tuple(Fraction(1, stride) for stride in strides)

    def options(self) -> dict[str, Any]:
        """What the op is told besides its operands."""
        return {**super().options(), "output_padding": self.output_padding}


@layer
class ConvTranspose(_Transposed):
    """The adjoint of a Conv: (H, W, C) becomes ((H − 1)·stride − padding + span + output_padding, …, channels).

    Parameters: weight (kh, kw, channels/groups, C), that of the convolution from `channels` to C which it transposes; bias (channels,).
    """

    axes, op = 2, staticmethod(ops.conv2d_transpose)

    channels: int = size()
    kernel_size: int | tuple[int, int] = pair()
    _: KW_ONLY
    stride: int | tuple[int, int] = pair(1)
    padding: Any = padding_field(0)
    output_padding: int | tuple[int, int] = pair(0, at_least=0)
    dilation: int | tuple[int, int] = pair(1)
    groups: int = size(1)
    bias: bool = flag(True)
    init: Initialiser = initialiser()
    bias_init: Initialiser = initialiser(Constant(0.0))


@layer
class ConvTranspose1d(_Transposed):
    """The adjoint of a Conv1d: (L, C) becomes ((L − 1)·stride − padding + span + output_padding, channels)."""

    axes, op = 1, staticmethod(ops.conv1d_transpose)

    channels: int = size()
    kernel_size: int = size()
    _: KW_ONLY
    stride: int = size(1)
    padding: Any = padding1d_field(0)
    output_padding: int = size(0, at_least=0)
    dilation: int = size(1)
    groups: int = size(1)
    bias: bool = flag(True)
    init: Initialiser = initialiser()
    bias_init: Initialiser = initialiser(Constant(0.0))
