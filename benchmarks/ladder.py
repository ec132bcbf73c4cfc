"""The speed of each rung of docs/ladder.md: `python -m benchmarks.ladder` prints its table.

One layer, ResNet's 3×3 convolution of 64 channels on 56×56, 8 images; the Python loops get a corner of one image, as a rate is a rate.
"""
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import tinygradconv as tgc
from tinygradconv.explain import ladder

from .common import values

IMAGE, FILTERS = (8, 56, 56, 64), (3, 3, 64, 64)
SECONDS = 1.0                                            # of each rung


def rate(function: Callable[[], object], flops: int) -> float:
    """GFLOP/s of the best of several calls."""
    function()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return flops / best / 1e9


def on_numpy(rung: Callable[..., np.ndarray], images: tuple[int, ...]) -> float:
    """The rate of one of the functions of explain/ladder.py."""
    x, w = values(*images), values(*FILTERS, seed=1)
    flops = 2 * images[0] * images[1] * images[2] * int(np.prod(FILTERS))
    return rate(lambda: rung(x, w, 1), flops)


def on_kernels(compute: Callable[[tgc.Tensor, tgc.Tensor], object], threads: int, exact: bool) -> float:
    """The rate of a computation on tensors."""
    x, w = tgc.Tensor(values(*IMAGE)), tgc.Tensor(values(*FILTERS, seed=1))
    with tgc.settings(threads=threads, exact=exact), tgc.no_grad():
        return rate(lambda: compute(x, w), 2 * int(np.prod(IMAGE[:3])) * int(np.prod(FILTERS)))


def columns(x: tgc.Tensor, w: tgc.Tensor) -> tgc.Tensor:
    """im2col and the matrix product as two ops."""
    return tgc.im2col(x, 3, padding=1) @ w.reshape((-1, FILTERS[-1]))


def convolution(x: tgc.Tensor, w: tgc.Tensor) -> tgc.Tensor:
    """One op."""
    return tgc.conv2d(x, w, padding=1)


RUNGS: dict[str, Callable[[], float]] = {
    "1  seven_loops": lambda: on_numpy(ladder.seven_loops, (1, 4, 4, 64)),
    "2  row_times_matrix": lambda: on_numpy(ladder.row_times_matrix, (1, 28, 28, 64)),
    "3  shifted_images": lambda: on_numpy(ladder.shifted_images, IMAGE),
    "4  columns_times_filters": lambda: on_numpy(ladder.columns_times_filters, IMAGE),
    "5  im2col, matmul (kernels), 1 thread": lambda: on_kernels(columns, 1, True),
    "6  conv2d_forward, 4 floats at a time": lambda: elsewhere("v2"),
    "7  conv2d_forward, 8 or 16": lambda: on_kernels(convolution, 1, True),
    "8  conv2d_forward, 2 threads": lambda: on_kernels(convolution, 2, True),
    "9  winograd_forward, 2 threads": lambda: on_kernels(convolution, 2, False),
}


def elsewhere(isa: str) -> float:
    """Rung 7 in a process of its own, which takes another instruction set."""
    found = subprocess.run([sys.executable, "-m", "benchmarks.ladder", "7"], env={**os.environ, "TGC_ISA": isa}, check=True,
                           capture_output=True, text=True)
    return float(found.stdout.split()[-2].replace(",", ""))


def main() -> None:
    """Print the rungs whose numbers are arguments, or all."""
    for name, measure in RUNGS.items():
        if len(sys.argv) < 2 or name.split()[0] in sys.argv[1:]:
            print(f"{name:40} {measure():10,.4g} GFLOP/s", flush=True)


if __name__ == "__main__":
    main()
