"""Normalisation on a GPU. Batch normalisation is two launches each way: sums along the rows, then values.

Bytes moved for each float32 of the matrix (M, C):

    batch norm forward     12: sums read x (4), values read x and write y (8); with a residual 16
    batch norm backward    20: sums read g and x (8), values read them and write dx (12); with ReLU, which reads y, 28;
                           with a residual too, 28: sums write dz (4), and values read that in place of g and y
    affine                  8; with a residual 12

Sums are of differences from the channel's first value, in float64: no digit of the variance is lost, however far the mean is from zero.
They are left as one number for each channel and chunk of rows (kernels/cuda/columns.py). Each block of the second launch first adds up
those of its own channels, which are in the second-level cache, and the first such block of a slice fills mean and variance, or dscale and
dshift. Group normalisation and local response normalisation: cuda_groups.py, cuda_response.py.
"""
from __future__ import annotations

from typing import Any

from ..cuda.columns import Columns, columns
from ..cuda.host import blocks
from ..cuda.language import float32, float64, scalar_of
from ..cuda.vectors import fours
from . import cuda_groups, cuda_response
from .cuda_batch import AT_ONCE, FEW, MANY, affine_rows, moments, normalise
from .cuda_batch_backward import gradient, products
from .cuda_groups import group_norm_backward, group_norm_forward
from .cuda_response import local_response_norm_backward, local_response_norm_forward

WIDTHS = ((float32, 4), (float32, 1), (float64, 1))


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    batch = [(template, kind) for kind in WIDTHS for template in (moments, normalise, affine_rows, products, gradient)]
    return batch + cuda_groups.configurations() + cuda_response.configurations()


def batch_norm_forward(device: Any, x: Any, scale: Any, shift: Any, residual: Any, y: Any, mean: Any, variance: Any, epsilon: float,
                       activation: int) -> None:
    """reference.batch_norm_forward. A thread for four channels of a few rows, twice: for the sums, and for the values."""
    if not x.size:
        return
    (M, C), width = x.shape, fours(x.shape[1], x, residual, y)
    cut, T, beside = columns(M, C, width, MANY), scalar_of(x.dtype), residual is not None
    sums = device.empty((cut.chunks, 2, C), "float64")
    device.launch(moments(T, width), (cut.slices, cut.chunks), x, sums, M, C, cut.across, cut.rows)
    device.launch(normalise(T, width), _grid(device, M, cut), x, scale, shift, residual if beside else x, y, mean, variance, sums, M, C,
                  cut.across, cut.chunks, epsilon, beside, activation)


def batch_norm_backward(device: Any, g: Any, x: Any, y: Any, scale: Any, mean: Any, variance: Any, dx: Any, dscale: Any, dshift: Any,
                        dresidual: Any, epsilon: float, activation: int) -> None:
    """reference.batch_norm_backward. A thread for four channels of a few rows, twice: for the sums, and for the values."""
    if not x.size:
        return
    (M, C), kept = x.shape, dresidual is not None
    after = y if activation else g
    width = fours(C, g, x, after, mean, dx, dresidual)
    cut, T = columns(M, C, width, FEW), scalar_of(x.dtype)
    sums = device.empty((cut.chunks, 2, C), "float64")
    device.launch(products(T, width), (cut.slices, cut.chunks), g, x, after, mean, dresidual if kept else dx, sums, M, C, cut.across,
                  cut.rows, kept, activation)
    dz, left = (dresidual, 0) if kept else (g, activation)
    device.launch(gradient(T, width), _grid(device, M, cut), dz, x, after, scale, mean, variance, dx, dscale, dshift, sums, M, C,
                  cut.across, cut.chunks, epsilon, left)


def affine(device: Any, x: Any, scale: Any, shift: Any, residual: Any, y: Any, activation: int) -> None:
    """reference.affine. A thread for four channels of a few rows."""
    if not x.size:
        return
    (M, C), width = x.shape, fours(x.shape[1], x, residual, y)
    cut, beside = columns(M, C, width, FEW), residual is not None
    device.launch(affine_rows(scalar_of(x.dtype), width), _grid(device, M, cut), x, scale, shift, residual if beside else x, y, M, C,
                  cut.across, beside, activation)


def _grid(device: Any, M: int, cut: Columns) -> tuple[int, int]:
    """(slices, blocks along the rows) of a launch that fills the GPU once; each value is computed by itself, so the cut may be any."""
    return cut.slices, max(1, min(blocks(M, cut.lanes * FEW), AT_ONCE * device.multiprocessors // cut.slices))


__all__ = ["affine", "batch_norm_backward", "batch_norm_forward", "configurations", "group_norm_backward", "group_norm_forward",
           "local_response_norm_backward", "local_response_norm_forward"]
