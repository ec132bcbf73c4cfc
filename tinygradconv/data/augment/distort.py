"""Each image turned, scaled, sheared and shifted (LeCun et al. 1998, section III-C)."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinygradconv.ops.random import uniform

from .base import Augmentation
from .draws import of_rows


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

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """images (N, H, W, C), distorted by the random numbers of (key, step), float32; outside an image there is 0."""
        images = images.astype(np.float32, copy=False)
        amounts = of_rows(lambda n: uniform((6, n), key=key, step=step, low=-1.0, high=1.0).numpy(), len(images))
        angle, sy, sx, shear, ty, tx = amounts.astype(np.float64)
        cosine, sine, shear = np.cos(angle * self.rotation), np.sin(angle * self.rotation), shear * self.shear
        rows = np.stack([cosine, cosine * shear + sine, -sine, cosine - sine * shear], -1).reshape(-1, 2, 2)   # rotation · shear, on (y, x)
        scales = np.exp(np.stack([sy, sx], -1) * self.scale)
        return affine(images, rows * scales[:, None], np.stack([ty, tx], -1) * self.shift)


def affine(images: np.ndarray, matrices: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """y[n, i, j] = x[n] at the place  M[n] · ((i, j) − centre) + centre + shift[n], bilinearly; 0 outside the image.

    images    (N, H, W, C) float32
    matrices  (N, 2, 2) on (row, column)
    shifts    (N, 2) in pixels
    """
    N, H, W, C = images.shape
    rows, columns = (grid.reshape(1, -1).astype(np.float32) for grid in np.indices((H, W)) - (np.array([H, W])[:, None, None] - 1) / 2)
    # A border of one zero pixel stands for everything outside; places further out are drawn in to it.
    padded = np.zeros((N, H + 2, W + 2, C), images.dtype)
    padded[:, 1:-1, 1:-1] = images
    corners, fractions = [], []
    for axis, size in enumerate((H, W)):
        weights = matrices[:, axis].astype(np.float32)
        place = weights[:, :1] * rows
        place += weights[:, 1:] * columns
        place += ((size + 1) / 2 + shifts[:, axis, None]).astype(np.float32)
        np.clip(place, 0, size + 1, out=place)
        corners.append(np.minimum(place.astype(np.int32), np.int32(size)))
        fractions.append(place - corners[-1])
    first = (np.arange(N)[:, None] * (H + 2) + corners[0]) * (W + 2) + corners[1]
    # Single numbers are looked up faster than rows of one number, and places that need no check faster than checked ones.
    pixels, (down, right) = (padded.reshape(-1), fractions) if C == 1 else (padded.reshape(-1, C), (f[..., None] for f in fractions))

    def at(places: np.ndarray) -> np.ndarray:
        return pixels.take(places, axis=0, mode="clip")
    top, bottom = at(first), at(first + (W + 2))
    top += (at(first + 1) - top) * right
    bottom += (at(first + (W + 3)) - bottom) * right
    top += (bottom - top) * down
    return top.reshape(images.shape)
