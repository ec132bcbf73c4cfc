"""A square of each image is blotted out."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinygradconv.geometry import integer, real

from .base import Augmentation, checked
from .crop import filled
from .draws import below, fractions


@dataclass(frozen=True)
class Cutout(Augmentation):
    """A square of size × size pixels around a random pixel of each image becomes `fill`; what of it lies outside is lost.

    `fill` is one number, or one for each channel (the paper's grey is the mean of the data set, rounded where images are bytes).
    Source: DeVries and Taylor 2017 (size 16 for CIFAR-10, 8 for CIFAR-100).
    """

    by_image: ClassVar[bool] = True
    size: int
    fill: float | tuple[float, ...] = 0

    def __post_init__(self) -> None:
        integer("size", self.size, at_least=1, where="Cutout")
        for value in self.fill if isinstance(self.fill, tuple) else (self.fill,):
            real("fill", value, where="Cutout")

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """y[n, i, j] = fill in the square, x[n, i, j] elsewhere; dtype and shape stay."""
        N, H, W, C = checked("Cutout", images)
        values = self.fill if isinstance(self.fill, tuple) else (self.fill,) * C
        if len(values) != C:
            raise ValueError(f"Cutout: fill must have one number for each of {C} channels, or be one number, got {len(values)}")
        y, x = fractions(2, N, key=key, step=step)
        top, left = below(y, H) - self.size // 2, below(x, W) - self.size // 2
        out = images.copy()
        out[boxes(H, W, top, left, self.size, self.size)] = [filled("Cutout", value, images.dtype) for value in values]
        return out


def boxes(H: int, W: int, top: np.ndarray, left: np.ndarray, rows: int | np.ndarray, columns: int | np.ndarray) -> np.ndarray:
    """(N, H, W) bool: true in the box of each image, which begins at (top, left) and may reach beyond the image."""
    def along(size: int, start: np.ndarray, length: int | np.ndarray) -> np.ndarray:
        at = np.arange(size)
        return (at >= start[:, None]) & (at < (start + length)[:, None])
    return along(H, top, rows)[:, :, None] & along(W, left, columns)[:, None, :]
