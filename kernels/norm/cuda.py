"""Normalisation on a GPU. Batch normalisation is two launches each way: sums along the rows, then values.

Bytes moved for each float32 of the matrix (M, C):

    batch norm forward     12: sums read x (4), values read x and write y (8); with a residual 16
      behind a convolution  8: it has left the sums (conv/moments.py), ⅛ to ¼ written and read; with a residual 12
    batch norm backward    20: sums read g and x (8), values read them and write dx (12); with ReLU, which reads y, 28;
                           with a residual too, 28: sums write dz (4), and values read that in place of g and y
    affine                  8; with a residual 12

Forward sums are of differences from a value of the channel, in float64: no digit of the variance is lost, however far the mean is from
zero. Sums are left as one number for each channel and part of the rows: a chunk (kernels/cuda/columns.py), or the rows of a convolution's
tile. Each block of the second launch first adds up those of its own channels, which are in the second-level cache, and the first such block
of a slice fills mean and variance, or dscale and dshift. Group normalisation and local response normalisation: cuda_groups.py,
cuda_response.py.
"""
from __future__ import annotations

from typing import Any

from ..cuda.columns import BLOCKS, SLICE, THREADS, Columns, columns
from ..cuda.host import address, blocks
from ..cuda.language import Scalar, float32, float64, scalar_of
from ..cuda.vectors import fours
from . import cuda_groups, cuda_response
from .cuda_batch import AT_ONCE, FEW, MANY, affine_rows, gathered, normalise
from .cuda_batch import moments as moments_of
from .cuda_batch_backward import gradient, products
from .cuda_groups import group_norm_backward, group_norm_forward
from .cuda_response import local_response_norm_backward, local_response_norm_forward

WIDTHS = ((float32, 4), (float32, 1), (float64, 1))
MOST = BLOCKS * SLICE                      # sums of a slice that each block adds up for itself: as many as `moments` leaves


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    batch = [(template, kind) for kind in WIDTHS for template in (moments_of, normalise, affine_rows, products, gradient)]
    return [*batch, (gathered, (float32,)), (gathered, (float64,))] + cuda_groups.configurations() + cuda_response.configurations()


def batch_norm_forward(device: Any, x: Any, scale: Any, shift: Any, residual: Any, y: Any, mean: Any, variance: Any, passed: None,
                       epsilon: float, activation: int, moments: dict[int, Any] | None = None) -> None:
    """reference.batch_norm_forward. A thread for four channels of a few rows, twice: for the sums, and for the values.

    No `passed` is filled: backward is given y. A byte of bits would be of two threads, or of rows that different blocks hold.
    Where the convolution that filled x has left its sums in `moments` they are taken out, and not made again.
    """
    if not x.size:
        return
    (M, C), width = x.shape, fours(x.shape[1], x, residual, y)
    cut, T, beside = columns(M, C, width, MANY), scalar_of(x.dtype), residual is not None
    left = moments.pop(address(x), None) if moments else None
    sums, rows, parts = _moments(device, x, T, width, cut) if left is None else _gathered(device, x, T, width, cut, *left[1:])
    device.launch(normalise(T, width), _grid(device, M, cut), x, scale, shift, residual if beside else x, y, mean, variance, sums, M, C,
                  cut.across, rows, parts, epsilon, beside, activation)


def _moments(device: Any, x: Any, T: Scalar, width: int, cut: Columns) -> tuple[Any, int, int]:
    """(sums, rows of a part, parts) of x."""
    (M, C), sums = x.shape, device.empty((cut.chunks, 2, x.shape[1]), "float64")
    device.launch(moments_of(T, width), (cut.slices, cut.chunks), x, sums, M, C, cut.across, cut.rows)
    return sums, cut.rows, cut.chunks


def _gathered(device: Any, x: Any, T: Scalar, width: int, cut: Columns, sums: Any, rows: int) -> tuple[Any, int, int]:
    """The same of sums that a convolution left. As each block of the next launch reads all of its slice's, many become few first."""
    (M, C), count, span = x.shape, sums.shape[0], cut.across * width
    if count * span <= MOST:
        return sums, rows, count
    times = max(THREADS // span, blocks(count, max(1, BLOCKS // cut.slices)))
    fewer = device.empty((blocks(count, times), 2, C), "float64")
    device.launch(gathered(T), (cut.slices, fewer.shape[0]), x, sums, fewer, M, C, rows, count, times, span)
    return fewer, rows * times, fewer.shape[0]


def batch_norm_backward(device: Any, g: Any, x: Any, passed: Any, scale: Any, mean: Any, variance: Any, dx: Any, dscale: Any, dshift: Any,
                        dresidual: Any, epsilon: float, activation: int) -> None:
    """reference.batch_norm_backward. A thread for four channels of a few rows, twice: for the sums, and for the values.

    `passed` is y itself.
    """
    if not x.size:
        return
    (M, C), kept = x.shape, dresidual is not None
    after = passed if activation else g
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
