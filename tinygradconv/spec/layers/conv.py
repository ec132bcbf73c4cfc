"""Convolutions: parameters, shapes and MACs of the ops in ops/conv.py."""
from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any, ClassVar

from tinygradconv.geometry import Conv2dGeometry
from tinygradconv.ops import conv as ops
from tinygradconv.tensor import Tensor

from ..base import Layer, Parameter, Shape, layer
from ..fields import flag, padding1d_field, padding_field, pair, size
from ..initial import Constant, Initialiser, initialiser
from .window import check_axes, geometry_of, span_and_stride, without_batch


class Convolution(Layer):
    """What the convolutions share; `axes` is 2 for images and 1 for sequences."""

    axes: ClassVar[int]
    op: ClassVar[Any]

    def geometry(self, where: str, shape: Shape) -> Conv2dGeometry:
        """The windows over one input of `shape`."""
        check_axes(where, shape, self.axes)
        self.check_groups(where, shape)
        return geometry_of(where, self, shape, Conv2dGeometry, O=self.channels, groups=self.groups)

    def check_groups(self, where: str, shape: Shape) -> None:
        """ValueError unless the groups divide the channels."""
        if shape[-1] % self.groups or self.channels % self.groups:
            raise ValueError(f"{where}: groups={self.groups} must divide the {shape[-1]} input channels and the {self.channels} output "
                             f"channels; the input is {shape}")

    def cells(self) -> tuple[int, ...]:
        """kernel_size, one length per axis."""
        return self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * self.axes

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        return without_batch(self.geometry(where, shapes[0]), self.axes)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        cells = math.prod(self.cells())
        fans = cells * shape[-1] // self.groups, cells * self.channels // self.groups
        weight = Parameter((*self.cells(), shape[-1] // self.groups, self.channels), self.init, *fans)
        return {"weight": weight, **({"bias": Parameter((self.channels,), self.bias_init, *fans)} if self.bias else {})}

    def macs(self, shape: Shape) -> int:
        return self.geometry("", shape).macs

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return span_and_stride(self.geometry("", shape), self.axes)

    def options(self) -> dict[str, Any]:
        """What the op is told besides its operands."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return type(self).op(inputs[0], site.parameters["weight"], site.parameters.get("bias"), **self.options())


@layer
class Conv(Convolution):
    """y = x ∗ weight + bias over an image (H, W, C): `channels` filters of `kernel_size`.

    `padding` is an integer, (rows, columns), ((top, bottom), (left, right)), 'same' or 'valid'. `init` draws the weight
    (HeNormal() unless you say otherwise), `bias_init` the bias (zeros). Parameters: weight (kh, kw, C/groups, channels), bias (channels,).
    """

    axes, op = 2, staticmethod(ops.conv2d)
    takes = frozenset({"norm", "add", "relu", "tanh", "moments"})

    channels: int = size()
    kernel_size: int | tuple[int, int] = pair()
    _: KW_ONLY
    stride: int | tuple[int, int] = pair(1)
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    groups: int = size(1)
    bias: bool = flag(True)
    init: Initialiser = initialiser()
    bias_init: Initialiser = initialiser(Constant(0.0))

    def apply(self, *inputs: Tensor, site: Any, norm: tuple[Tensor, Tensor] | None = None, residual: Tensor | None = None,
              activation: str | None = None, moments: dict | None = None) -> Tensor:
        bias, scale = site.parameters.get("bias"), None
        if norm is not None:                           # scale · (conv + bias) + shift, the shift and the bias as one
            scale, shift = norm
            bias = shift if bias is None else bias * scale + shift
        return ops.conv2d(inputs[0], site.parameters["weight"], bias, scale=scale, residual=residual, activation=activation,
                          moments=moments, **self.options())


@layer
class Conv1d(Convolution):
    """y = x ∗ weight + bias over a sequence (L, C). Parameters: weight (kernel_size, C/groups, channels), bias.

    `padding` is an integer, (before, after), 'same' or 'valid'.
    """

    axes, op = 1, staticmethod(ops.conv1d)

    channels: int = size()
    kernel_size: int = size()
    _: KW_ONLY
    stride: int = size(1)
    padding: Any = padding1d_field(0)
    dilation: int = size(1)
    groups: int = size(1)
    bias: bool = flag(True)
    init: Initialiser = initialiser()
    bias_init: Initialiser = initialiser(Constant(0.0))
