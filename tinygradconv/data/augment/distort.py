"""Each image turned, scaled, sheared and shifted (LeCun et al. 1998, section III-C)."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygradconv.backends import CPU
from tinygradconv.geometry import real
from tinygradconv.ops.random import uniform

from .base import Augmentation, checked
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

    def __post_init__(self) -> None:
        for name in ("rotation", "scale", "shear", "shift"):
            real(name, getattr(self, name), where="Distort")

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """images (N, H, W, C), distorted by the random numbers of (key, step), float32; outside an image there is 0."""
        N, *_ = checked("Distort", images)
        amounts = of_rows(lambda n: uniform((6, n), key=key, step=step, low=-1.0, high=1.0).numpy(), N).astype(np.float64)
        amounts *= np.array([self.rotation, self.scale, self.scale, self.shear, self.shift, self.shift])[:, None]
        (angle, _, _, shear, _, _), (down, across) = amounts, np.exp(amounts[1:3])
        cosine, sine = np.cos(angle), np.sin(angle)
        matrices = np.empty((N, 2, 2))                  # rotation · shear · scale, on (row, column)
        matrices[:, 0, 0], matrices[:, 0, 1] = cosine * down, (cosine * shear + sine) * across
        matrices[:, 1, 0], matrices[:, 1, 1] = -sine * down, (cosine - sine * shear) * across
        return affine(images, matrices, amounts[4:].T)


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
    centre = np.array([(H - 1) / 2, (W - 1) / 2])
    maps = np.empty((N, 2, 3))
    maps[..., :2] = matrices
    maps[..., 2] = centre + shifts - matrices @ centre
    return sampled(images, maps, None, dtype)


def sampled(images: np.ndarray, maps: np.ndarray, boxes: np.ndarray | None, dtype: Any = np.float32) -> np.ndarray:
    """Images of the same size, sampled bilinearly at the places that `maps` give, within `boxes`; see kernels/warp. 0 outside."""
    out = np.empty(images.shape, dtype)
    CPU.run("warp", images, maps, boxes, out, 0.0)
    return out
