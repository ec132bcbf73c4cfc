"""Another part of each image, or its mirror image."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinygradconv.geometry import integer, pair, real

from .base import Augmentation, checked, probability
from .distort import sampled
from .draws import below, fractions
from .normalize import Normalize


@dataclass(frozen=True)
class Flip(Augmentation):
    """Each image is mirrored, left for right, with this probability."""

    by_image: ClassVar[bool] = True
    probability: float = 0.5

    def __post_init__(self) -> None:
        probability("Flip", self.probability)

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """y[n, i, j] = x[n, i, W − 1 − j] for the chosen images n; dtype and shape stay."""
        N, *_ = checked("Flip", images)
        chosen = fractions(1, N, key=key, step=step)[0] < self.probability
        out = images.copy()
        out[chosen] = images[chosen, :, ::-1]
        return out


@dataclass(frozen=True)
class PadCrop(Augmentation):
    """Each image gets a border of `padding` pixels of the value `fill`, and of that a part of `size` is cut out at a random place.

    `size` is one number or (rows, columns); without it the images keep theirs. All places are equally likely. ValueError where the size
    is larger than the padded image. Source: He et al. 2016, section 4.2 (padding 4).
    """

    by_image: ClassVar[bool] = True
    padding: int
    size: int | tuple[int, int] | None = None
    fill: float = 0

    def __post_init__(self) -> None:
        integer("padding", self.padding, at_least=0, where="PadCrop")
        if self.size is not None:
            pair("size", self.size, at_least=1, where="PadCrop")
        real("fill", self.fill, where="PadCrop")

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """y[n, i, j] = padded[n, top[n] + i, left[n] + j]; dtype stays, (N, *size, C)."""
        N, H, W, C = checked("PadCrop", images)
        fill = images.dtype.type(filled("PadCrop", self.fill, images.dtype))
        p, (h, w) = self.padding, (H, W) if self.size is None else pair("size", self.size, at_least=1)
        if h > H + 2 * p or w > W + 2 * p:
            raise ValueError(f"PadCrop: size {h}×{w} is larger than the padded image, {H + 2 * p}×{W + 2 * p}. Use a larger padding")
        padded = np.full((N, H + 2 * p, W + 2 * p, C), fill)
        padded[:, p:p + H, p:p + W] = images
        top, left = fractions(2, N, key=key, step=step)
        top, left = below(top, H + 2 * p - h + 1), below(left, W + 2 * p - w + 1)
        # All windows of w · C values along a row, as a view: what is taken from it is copied a row of an image at a time.
        windows = np.lib.stride_tricks.sliding_window_view(padded.reshape(N, H + 2 * p, (W + 2 * p) * C), w * C, axis=2)
        rows = windows[np.arange(N)[:, None], top[:, None] + np.arange(h), (left * C)[:, None]]
        return rows.reshape(N, h, w, C)


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """A random part of each image, of a share of its area from `scale` and a ratio columns : rows from `ratio`, at the image's size.

    The logarithm of the ratio is uniform. Of ten draws the first that fits into the image is taken; where none does, the largest part
    of a ratio in the range, from the middle. For photographs. Source: Szegedy et al. 2015, section 6.
    """

    by_image: ClassVar[bool] = True
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        for name, most in (("scale", 1.0), ("ratio", math.inf)):
            low, high = (real(name, value, where="RandomResizedCrop") for value in getattr(self, name))
            if not 0 < low <= high <= most:
                raise ValueError(f"RandomResizedCrop: {name} must be a pair 0 < low ≤ high{' ≤ 1' if most == 1 else ''}, "
                                 f"got {getattr(self, name)}")

    def parts(self, N: int, H: int, W: int, *, key: int, step: int) -> np.ndarray:
        """(4, N) int64: top, left, rows and columns of the part of each image."""
        area, ratio, top, left = fractions(40, N, key=key, step=step).reshape(4, 10, N)
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * area) * (H * W)
        low, high = np.log(self.ratio)
        ratio = np.exp(low + (high - low) * ratio)
        rows, columns = (np.rint(np.sqrt(sized)).astype(np.int64) for sized in (area / ratio, area * ratio))
        fits = (rows >= 1) & (rows <= H) & (columns >= 1) & (columns <= W)
        first = fits.argmax(0), np.arange(N)
        rows, columns = rows[first], columns[first]
        middle = ~fits[first]
        rows[middle] = max(1, min(H, round(W / self.ratio[0])))
        columns[middle] = max(1, min(W, round(H * self.ratio[1])))
        top, left = below(top[first], H - rows + 1), below(left[first], W - columns + 1)
        top[middle], left[middle] = (H - rows[middle]) // 2, (W - columns[middle]) // 2
        return np.stack([top, left, rows, columns])

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """The parts, enlarged bilinearly with pixel centres at halves; float32, of the shape of images."""
        return sampled(images, *self.places(images, key=key, step=step))

    def normalized(self, images: np.ndarray, normalize: Normalize, *, key: int, step: int) -> np.ndarray:
        """The same, normalised: one pass from bytes to what the network gets."""
        return sampled(images, *self.places(images, key=key, step=step), normalize=normalize)

    def places(self, images: np.ndarray, *, key: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(maps, boxes) of the parts, float64 (N, 2, 3) and (N, 4), as kernels/warp takes them."""
        N, H, W, _ = checked("RandomResizedCrop", images)
        top, left, rows, columns = self.parts(N, H, W, key=key, step=step)
        maps, boxes = np.zeros((N, 2, 3)), np.stack([top, left, top + rows - 1, left + columns - 1], -1).astype(np.float64)
        maps[:, 0, 0], maps[:, 1, 1] = rows / H, columns / W
        maps[:, 0, 2], maps[:, 1, 2] = top + rows / H / 2 - 0.5, left + columns / W / 2 - 0.5
        return maps, boxes


def filled(where: str, value: float, dtype: np.dtype) -> float:
    """`value` for the pixels that an image gets; ValueError where a byte does not hold it."""
    if dtype == np.uint8 and not (0 <= value <= 255 and value == int(value)):
        raise ValueError(f"{where}: fill must be a whole number from 0 to 255 where images are bytes, got {value}")
    return value
