"""Matrix products on a GPU, and who makes them: in tiles (tiled.py), or in bfloat16, where they are large, of packed panels (packed.py).

On an H100 packed panels are multiplied by wgmma (warpgroups.py), elsewhere by mma.sync.
"""
from __future__ import annotations

from typing import Any

from ..cuda.language import float32
from . import packed, tiled, warpgroups


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return tiled.configurations() + packed.configurations() + warpgroups.configurations()


def matmul(device: Any, a: Any, b: Any, y: Any, transpose_a: bool, transpose_b: bool) -> None:
    """reference.matmul. A block for each tile of y."""
    if len(y.shape) == 2:
        a, b, y = a[None], b[None], y[None]
    _run(device, a, b, None, y, transpose_a, transpose_b, 0)


def dense(device: Any, x: Any, w: Any, bias: Any, y: Any, activation: int) -> None:
    """reference.dense. The product; bias and activation are applied to sums before they are stored."""
    _run(device, x[None], w[None], bias, y[None], False, False, activation)


def _run(device: Any, a: Any, b: Any, bias: Any, y: Any, transpose_a: bool, transpose_b: bool, activation: int) -> None:
    """y = act(op(a) · op(b) + bias) for arrays of three axes."""
    (batch, M, N), K = y.shape, a.shape[1 if transpose_a else 2]
    if not y.size:
        return
    if device.precision == "bf16" and y.dtype == float32.dtype and packed.worth(batch, M, N, K):
        multiply = warpgroups.warpgroup_product() if device.architecture == "sm_90" else packed.packed_product()
        packed.run(device, multiply, a, b, bias, y, transpose_a, transpose_b, activation)
    else:
        tiled.run(device, a, b, bias, y, transpose_a, transpose_b, activation)


__all__ = ["configurations", "dense", "matmul"]
