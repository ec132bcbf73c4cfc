"""Convolution on a GPU as matrix products of columns that are never written: implicit GEMM.

    correlate.py   the three kernels: where a block's tile is, what its loop is given, what becomes of its sums
    loaders.py     how the columns, and the weights, are found in memory
    layout.py      the tiles that a size gets, grids, and the numbers that the kernels are told
    finish.py      scale, bias, residual, activation; sums that were made in parts
    moments.py     what a batch norm behind it needs to know of the result

Groups of few channels leave tiles empty: their sums are made one by one, by depthwise/cuda.py.
"""
from __future__ import annotations

from typing import Any

from ..cuda.engines import mode_of, type_of
from ..cuda.host import address, blocks, vector_width
from ..cuda.language import float32, float64
from ..depthwise import cuda as few
from . import layout
from .correlate import forward_tiles, grad_input_tiles, grad_weight_tiles
from .finish import add_parts, added, after_arguments
from .moments import MOMENTS

FEW = 16                                   # pairs of channels in a group, beyond which tiles pay


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    made = [(template, (mode, shape, vector)) for (mode, vector), shapes in layout.SHAPES.items() for shape, _ in shapes
            for template in (forward_tiles, grad_input_tiles, grad_weight_tiles)]
    return [*made, (add_parts, (float32,)), (add_parts, (float64,))]


def conv2d_forward(device: Any, x: Any, w: Any, scale: Any, bias: Any, residual: Any, workspace: Any, y: Any, activation: int,
                   geo: Any, moments: dict[int, Any] | None = None) -> None:
    """reference.conv2d_forward. A block for each tile of pixels × output channels; what follows the sum meets it in registers.

    Where k is in one part and `moments` are asked for, those of y are left there (moments.py): {address: (y, sums, rows of a part)}.
    """
    if _is_few(geo):
        few.depthwise_forward(device, x, w, scale, bias, residual, workspace, y, activation, geo)
    elif geo.N:
        mode, vector = _mode(device, geo, x, w, y)
        shape, grid, parts, numbers = layout.forward(geo, mode, vector)
        *arrays, given, activation = following = after_arguments(scale, bias, residual, activation, y)
        made = forward_tiles(mode, shape, vector)
        if parts > 1:
            into = device.empty((parts, *y.shape), y.dtype)
            device.launch(made, grid, x, w, into, *numbers, y.size, y, y, y, 0, 0, None)
            added(device, into, y, parts, type_of(mode), following)
        elif moments is None:
            device.launch(made, grid, x, w, y, *numbers, y.size, *following, None)
        else:
            sums = device.empty((blocks(y.size // geo.O, shape[0]), 2, geo.O), "float64")
            device.launch(made, grid, x, w, y, *numbers, y.size, *arrays, given | MOMENTS, activation, sums)
            moments[address(y)] = y, sums, shape[0]


def conv2d_grad_input(device: Any, g: Any, w: Any, workspace: Any, x: Any, geo: Any) -> None:
    """reference.conv2d_grad_input. A block for each tile of pixels of a phase × input channels."""
    if _is_few(geo):
        few.depthwise_grad_input(device, g, w, workspace, x, geo)
    elif geo.N:
        _gradient(device, grad_input_tiles, layout.grad_input, g, w, x, geo)


def conv2d_grad_weight(device: Any, x: Any, g: Any, workspace: Any, w: Any, geo: Any) -> None:
    """reference.conv2d_grad_weight. A block for each tile of taps and channels × output channels, and each part of the pixels."""
    if _is_few(geo):
        few.depthwise_grad_weight(device, x, g, workspace, w, geo)
    else:
        _gradient(device, grad_weight_tiles, layout.grad_weight, x, g, w, geo)


def _gradient(device: Any, template: Any, laid_out: Any, a: Any, b: Any, y: Any, geo: Any) -> None:
    """Fill y, the gradient that a template computes from a and b."""
    mode, vector = _mode(device, geo, a, b, y)
    shape, grid, parts, numbers = laid_out(geo, mode, vector)
    into = y if parts == 1 else device.empty((parts, *y.shape), y.dtype)
    device.launch(template(mode, shape, vector), grid, a, b, into, *numbers, y.size)
    if parts > 1:
        added(device, into, y, parts, type_of(mode), (y, y, y, 0, 0))


def _is_few(geo: Any) -> bool:
    """Whether a group has so few channels that a tile would be nearly empty."""
    return geo.groups > 1 and (geo.C // geo.groups) * (geo.O // geo.groups) <= FEW


def _mode(device: Any, geo: Any, *arrays: Any) -> tuple[str, int]:
    """(the mode, how many channels a load takes): whole vectors where the channels of a group, in and out, and all addresses allow it.

    Then sums are stored in pairs, too.
    """
    dtype = arrays[0].dtype
    vector = 1 if dtype == float64.dtype else vector_width(dtype, tuple(map(address, arrays)), (geo.C // geo.groups, geo.O // geo.groups))
    return mode_of(device.precision, dtype, vector), vector
