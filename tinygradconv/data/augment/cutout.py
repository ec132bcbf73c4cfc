"""A square of each image is blotted out."""
from __future__ import annotations

from collections.abc import Iterator
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
        value = np.array([filled("Cutout", value, images.dtype) for value in values], images.dtype)
        out = images.copy()
        for n, rows, columns in boxes(H, W, top, left, self.size, self.size):
            out[n, rows, columns] = value
        return out


def boxes(H: int, W: int, top: np.ndarray, left: np.ndarray, rows: int | np.ndarray,
          columns: int | np.ndarray) -> Iterator[tuple[int, slice, slice]]:
    """(image, its rows, its columns) of a box in each image, which begins at (top, left); what of it lies beyond the image is left out."""
    ends = [np.clip(end, 0, size).tolist() for end, size in ((top, H), (top + rows, H), (left, W), (left + columns, W))]
    for n, (first, last, leftmost, rightmost) in enumerate(zip(*ends)):
        yield n, slice(first, last), slice(leftmost, rightmost)
