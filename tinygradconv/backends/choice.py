"""Which kernel computes a convolution: a pure function of the kernel asked for, its geometry, the dtype, the instruction set and `exact`.

The manifest says which kernels compute the same another way (`instead_of`). Never the number of threads, nor anything measured
while a program runs, decides: the same call gives the same bits every time. `settings(tune=True)` is the exception, asked for by
name: each (kernel, geometry) that is met is then timed once with every algorithm that could compute it, and the fastest is
remembered in a table that `tuned` returns and `restore` takes back, so that a recorded run can be repeated.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from tinygradconv.geometry import Conv2dGeometry
from tinygradconv.kernels import KERNELS

# Kernels that another can stand in for, with those that can, in the manifest's order.
ALTERNATIVES: dict[str, tuple[str, ...]] = {
    kernel: tuple(name for name, row in KERNELS.items() if row.instead_of == kernel)
    for kernel in dict.fromkeys(row.instead_of for row in KERNELS.values() if row.instead_of)}

SAMPLES = 3                                     # timed calls of one algorithm when tuning; the shortest counts
_tuned: dict[str, str] = {}


def able(kernel: str, geo: Conv2dGeometry) -> bool:
    """Whether this kernel can compute this geometry at all: each algorithm but the direct one is for some."""
    folder = KERNELS[kernel].folder
    if folder == "winograd":
        return (geo.kh, geo.kw, geo.sy, geo.sx, geo.dy, geo.dx, geo.groups) == (3, 3, 1, 1, 1, 1, 1)
    if folder == "depthwise":
        return geo.groups == geo.C == geo.O
    return True


def candidates(kernel: str, geo: Conv2dGeometry, exact: bool) -> tuple[str, ...]:
    """The kernels that compute what `kernel` does for this geometry, itself first; without Winograd's where `exact`."""
    others = (name for name in ALTERNATIVES.get(kernel, ()) if able(name, geo) and not (exact and KERNELS[name].folder == "winograd"))
    return kernel, *others


@lru_cache(maxsize=4096)
def choose(kernel: str, geo: Conv2dGeometry, dtype: np.dtype, isa: str, exact: bool) -> str:
    """The name of the kernel that computes `kernel` for this geometry fastest, as far as its shape tells."""
    found = {KERNELS[name].folder: name for name in candidates(kernel, geo, exact)}
    if "depthwise" in found:
        return found["depthwise"]
    if "winograd" in found and winograd_pays(kernel, geo, dtype):
        return found["winograd"]
    return kernel


# Measured with AVX2 on two cores (512 KB of second-level cache each), direct time / Winograd time, float32; "packed" is inference, where
# the transformed filters are kept, and "forward" transforms them too, as a training step must:
#
#     layer (3×3, padding 1)      packed    forward    grad-input    grad-weight    tiles
#     16 @ 32,  batch 128          1.2        1.2          1.2           1.6         8192
#     32 @ 16,  batch 128          1.8        1.6          1.7           1.8         2048
#     64 @ 8,   batch 128          2.1        1.8          1.6           2.4          512
#     64 @ 224, batch 2            2.6        2.6          2.5           1.8         6272
#     64 @ 56,  batch 8            2.6        2.3          2.7           2.1         1568
#     128 @ 28, batch 8            3.2        3.2          2.9           2.5          392
#     256 @ 14, batch 8            2.5        2.1          2.2           2.2          128
#     512 @ 28, batch 2            3.4        3.1          2.5           2.3           98
#     512 @ 14, batch 2            2.0        1.6          2.0           1.9           32
#     512 @ 7,  batch 8            1.8        1.4          1.8           1.6           32
#     512 @ 14, batch 1            2.0        1.1          1.7           1.2           16
#     512 @ 7,  batch 2            1.5        0.75         2.2           1.0            8
#     512 @ 7,  batch 1            1.0        0.5          1.2           0.5            4
LEAST_CHANNELS = 16          # transforms cost per channel in or out, products per pair: with fewer channels nothing is gained
LEAST_COVER = 0.5            # of the tiles by outputs: a 5×5 image is 39 % of its four tiles, and 7×7 is 77 %
# The transformed filters are four times as large as the weights, and pay from so many tiles on (forward: as measured for inference).
LEAST_TILES = {"conv2d_forward": 8, "conv2d_grad_input": 8, "conv2d_grad_weight": 16}


def winograd_pays(kernel: str, geo: Conv2dGeometry, dtype: np.dtype) -> bool:
    """Whether F(4×4, 3×3) is faster than the direct kernel. float64 is for checks, so it stays direct."""
    height, width = (geo.H, geo.W) if kernel == "conv2d_grad_input" else (geo.OH, geo.OW)
    tiles = geo.N * -(-height // 4) * -(-width // 4)
    return (dtype == np.float32 and min(geo.C, geo.O) >= LEAST_CHANNELS and tiles >= LEAST_TILES[kernel]
            and geo.N * height * width >= LEAST_COVER * 16 * tiles)


def tune(kernel: str, geo: Conv2dGeometry, dtype: np.dtype, isa: str, exact: bool, run: Callable[[str], None]) -> str:
    """The fastest of the candidates, from the table or measured now by `run(name)`, which computes the call with that kernel."""
    able_ones = candidates(kernel, geo, exact)
    key = f"{kernel} {dtype} {isa}{' exact' if exact else ''} {geo}"
    if key not in _tuned and len(able_ones) > 1:
        _tuned[key] = min(able_ones, key=lambda name: _seconds(run, name))
    return _tuned.get(key, kernel)


def tuned() -> dict[str, str]:
    """What tuning has found: the kernel that was fastest, by call (text), as JSON can hold it."""
    return dict(_tuned)


def restore(table: dict[str, str]) -> None:
    """Take over a table that `tuned` returned, in place of what was found since; ValueError for a kernel that does not exist."""
    for key, name in table.items():
        if name not in KERNELS:
            raise ValueError(f"restore: {key!r} names the kernel {name!r}, which does not exist; tune again")
    _tuned.clear()
    _tuned.update(table)


def _seconds(run: Callable[[str], None], name: str) -> float:
    """The shortest of a few calls, after one that is not counted."""
    run(name)
    times = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        run(name)
        times.append(time.perf_counter() - start)
    return min(times)
