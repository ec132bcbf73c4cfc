"""Distorting images at random while learning, so that a small data set seems larger (LeCun et al. 1998, section III-C)."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygradconv.ops.random import uniform


@dataclass(frozen=True)
class Distort:
    """Random planar affine distortions, each image its own: every amount is drawn evenly from −value to +value.

    rotation  radians
    scale     the logarithm of the factor, drawn anew for each axis
    shear     pixels sideways per pixel upwards
    shift     pixels, drawn for each axis
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """images (N, H, W, C) float32, distorted by the random numbers of (key, step); outside an image there is 0."""
        angle, sy, sx, shear, ty, tx = uniform((6, len(images)), key=key, step=step, low=-1.0, high=1.0).numpy().astype(np.float64)
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
    centre = (np.array([H, W]) - 1) / 2
    grid = np.stack(np.meshgrid(np.arange(H), np.arange(W), indexing="ij"), -1).reshape(-1, 2) - centre
    place = grid @ matrices.transpose(0, 2, 1) + (centre + shifts)[:, None]                    # (N, H·W, 2)
    # A border of one zero pixel stands for everything outside; places further out are drawn in to it.
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    place = np.clip(place + 1, 0, [H + 1, W + 1])
    corner = np.minimum(place.astype(np.int64), [H, W])
    fraction = (place - corner).astype(np.float32)
    first = (np.arange(N)[:, None] * (H + 2) + corner[..., 0]) * (W + 2) + corner[..., 1]
    pixels = padded.reshape(-1, C)
    down, right = fraction[..., :1], fraction[..., 1:]
    top = pixels[first] * (1 - right) + pixels[first + 1] * right
    bottom = pixels[first + W + 2] * (1 - right) + pixels[first + W + 3] * right
    return (top * (1 - down) + bottom * down).reshape(images.shape)
