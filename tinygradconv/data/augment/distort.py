"""Each image turned, scaled, sheared and shifted (LeCun et al. 1998, section III-C)."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tinygradconv.backends import CPU
from tinygradconv.geometry import real

from .base import Augmentation, checked
from .draws import words
from .normalize import Normalize


@dataclass(frozen=True)
class Distort(Augmentation):
    """Random planar affine distortions, each image its own: every amount is drawn evenly from −value to +value.

    rotation  radians
    scale     the logarithm of the factor, drawn anew for each axis
    shear     rows per column
    shift     pixels, drawn for each axis
    """

    by_image: ClassVar[bool] = True
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "scale", "shear", "shift"):
            real(name, getattr(self, name), where="Distort")

    @cached_property
    def _huge(self) -> bool:
        """Whether maps may be too large for a float64, which is looked for then only: e³⁰⁰ · 10³⁰ pixels are not."""
        return abs(self.scale) > 300 or max(abs(self.shear), abs(self.shift)) > 1e30

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """images (N, H, W, C), distorted by the random numbers of (key, step), float32; outside an image there is 0."""
        return sampled(images, self.maps(images, key=key, step=step), None)

    def normalized(self, images: np.ndarray, normalize: Normalize, *, key: int, step: int) -> np.ndarray:
        """The same, normalised: one pass from bytes to what the network gets."""
        return sampled(images, self.maps(images, key=key, step=step), None, normalize=normalize)

    def maps(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """The affine map of each image, float64 (N, 2, 3), as kernels/warp takes them; see `distortions` there."""
        N, H, W, _ = checked("Distort", images)
        maps = np.empty((N, 2, 3))
        CPU.run("distortions", words(6, N, key=key, step=step), maps, H, W, self.rotation, self.scale, self.shear, self.shift)
        if self._huge and not np.isfinite(maps).all():
            raise ValueError(f"{self} makes numbers too large for a float64. Use less scale")
        return maps


def around_centre(down: np.ndarray, right: np.ndarray, shifts: np.ndarray, H: int, W: int) -> np.ndarray:
    """centre + shifts − (down · row + right · column) of the centre, all (2, N): the last column of maps, whose others are the two."""
    row, column = (H - 1) / 2, (W - 1) / 2
    found = down * row
    found += right * column
    np.subtract(shifts, found, out=found)
    found[0] += row
    found[1] += column
    return found


def affine(images: np.ndarray, matrices: np.ndarray, shifts: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """y[n, i, j] = x[n] at the place  M[n] · ((i, j) − centre) + centre + shift[n], bilinearly; 0 outside the image.

    images    (N, H, W, C) uint8 or float32
    matrices  (N, 2, 2) on (row, column)
    shifts    (N, 2) in pixels
    dtype     of the result: float32, or uint8, rounded

    ValueError for matrices or shifts of another shape, or that are not finite.
    """
    N, H, W, _ = checked("affine", images)
    for name, values, shape in (("matrices", matrices, (N, 2, 2)), ("shifts", shifts, (N, 2))):
        if np.shape(values) != shape:
            raise ValueError(f"affine: {name} must have the shape {shape} for {N} images, got {np.shape(values)}")
        if not np.isfinite(values).all():
            raise ValueError(f"affine: {name} must be finite, those of image {int(np.argwhere(~np.isfinite(values))[0][0])} are not")
    maps = np.empty((N, 2, 3))
    maps[..., :2] = matrices
    maps[..., 2] = around_centre(maps[..., 0].T, maps[..., 1].T, np.asarray(shifts).T, H, W).T
    return sampled(images, maps, None, dtype)


def sampled(images: np.ndarray, maps: np.ndarray, boxes: np.ndarray | None, dtype: Any = np.float32,
            normalize: Normalize | None = None) -> np.ndarray:
    """Images of the same size, sampled bilinearly at the places that `maps` give, within `boxes`; see kernels/warp. 0 outside.

    With `normalize` the result, float32, is normalised on the way.
    """
    mean, deviation = (None, None) if normalize is None else normalize.arrays(images.shape[3])
    out = CPU.empty(images.shape, dtype)
    CPU.run("warp", images, maps, boxes, mean, deviation, out, 0.0)
    return out
