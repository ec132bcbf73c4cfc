"""Other colours: as if the light, or the camera, had been another."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinygradconv.geometry import real
from tinygradconv.ops.random import normal

from .base import Augmentation, checked
from .draws import fractions, of_rows

GREY = (0.2989, 0.587, 0.114)         # the shares of red, green and blue in a grey (ITU-R BT.601), rounded as torchvision has them
CHUNK = 1 << 20                       # pixels of a matrix product: the sums of products of bytes stay far below 2⁵³, so they are exact


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Brightness, contrast and saturation of each image times a factor from 1 − value (at least 0) to 1 + value, in this order.

    brightness   x · f
    contrast     m + (x − m) · f,  m the mean grey of the image
    saturation   g + (x − g) · f,  g the grey of the pixel

    After each the values are brought back between 0 and 255, so images must be bytes, of 3 channels; they become float32. An image of 1
    channel is its own grey, and has no saturation to change. The formulas are those of torchvision, which draws the order too.
    """

    by_image: ClassVar[bool] = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if real(name, getattr(self, name), where="ColorJitter") < 0:
                raise ValueError(f"ColorJitter: {name} must be at least 0, got {getattr(self, name)!r}")

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """The images in other colours, float32 between 0 and 255."""
        N, *_ = checked("ColorJitter", images, bytes_for="Put ColorJitter before what makes floats (Distort, Mixup, …)")
        drawn = fractions(3, N, key=key, step=step)
        factors = [np.maximum(0, 1 - value) + (1 + value - np.maximum(0, 1 - value)) * u
                   for value, u in zip((self.brightness, self.contrast, self.saturation), drawn)]
        return recolored(images, *factors)


def recolored(images: np.ndarray, brightness: np.ndarray, contrast: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 1 or 3), 0 to 255, with these factors (N,) applied in order; float32. See ColorJitter."""
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"ColorJitter: images must have 3 channels, or 1, got {images.shape[-1]}")
    brightness, contrast, saturation = (f.astype(np.float32).reshape(-1, 1, 1) for f in (brightness, contrast, saturation))
    # A plane for each channel, so that the loops run over whole images rather than over the few channels of a pixel.
    x = images.transpose(3, 0, 1, 2).astype(np.float32, order="C")
    x *= brightness
    mean = _grey(_in_range(x)).mean((1, 2), dtype=np.float64).astype(np.float32)[:, None, None]
    _blend(x, mean, contrast)
    _blend(x, _grey(x), saturation)
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0))


def _blend(x: np.ndarray, other: np.ndarray, factor: np.ndarray) -> None:
    """x = other + (x − other) · factor, brought back between 0 and 255."""
    x -= other
    x *= factor
    x += other
    _in_range(x)


def _grey(x: np.ndarray) -> np.ndarray:
    """The grey of planes (C, N, H, W); of a single one a copy, since `_blend` changes x."""
    return x[0].copy() if len(x) == 1 else x[0] * GREY[0] + x[1] * GREY[1] + x[2] * GREY[2]


def _in_range(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 255, out=x)


@dataclass(frozen=True)
class Lighting(Augmentation):
    """All pixels of an image move together along the main directions of the data set's colours: x + 255 · Σᵢ pᵢ · αᵢ · λᵢ.

    values      λ, the eigenvalues of the covariance matrix of the pixels' channels, pixels between 0 and 1
    vectors     p, the eigenvectors: vectors[c][i] is channel c of the i-th
    deviation   of α, normally distributed around 0, drawn for each image and direction

    `Lighting.of(images)` takes values and vectors from a data set. Images have values from 0 to 255, and become float32; they are not
    brought back into that range. Source: Krizhevsky et al. 2012, section 4.1, who leave the scale open; with pixels from 0 to 255 the
    eigenvalues would be thousands, and nothing left of the image.
    """

    by_image: ClassVar[bool] = True
    values: tuple[float, ...]
    vectors: tuple[tuple[float, ...], ...]
    deviation: float = 0.1

    def __post_init__(self) -> None:
        if np.shape(self.vectors) != (len(self.values), len(self.values)):
            raise ValueError(f"Lighting: vectors must be one row for each channel, one column for each of {len(self.values)} values, "
                             f"got shape {np.shape(self.vectors)}. Use Lighting.of(images)")
        if real("deviation", self.deviation, where="Lighting") < 0:
            raise ValueError(f"Lighting: deviation must be at least 0, got {self.deviation!r}")

    @classmethod
    def of(cls, images: np.ndarray, deviation: float = 0.1) -> Lighting:
        """With the eigenvalues, largest first, and eigenvectors of the colours of images (N, H, W, C), uint8; ValueError of no pixels."""
        values, vectors = np.linalg.eigh(covariance(images))
        vectors = vectors[:, ::-1]
        vectors = vectors * np.where(np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0) < 0, -1, 1)     # ± is LAPACK's choice
        return cls(tuple(map(float, np.maximum(values[::-1], 0))), tuple(tuple(map(float, row)) for row in vectors), deviation)

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """Each image with one amount added to each channel, float32."""
        N, _, W, C = checked("Lighting", images)
        if len(self.values) != C:
            raise ValueError(f"Lighting: it has {len(self.values)} eigenvalues, but images have {C} channels. Use Lighting.of(images)")
        alpha = of_rows(lambda n: normal((n, C), key=key, step=step, deviation=self.deviation, dtype=np.float64).numpy(), N, axis=0)
        amounts = 255 * (alpha * self.values) @ np.array(self.vectors).T
        # Repeated along a row, so that the sum runs over whole rows rather than over the few channels of a pixel.
        rows = np.tile(amounts.astype(np.float32), W).reshape(N, 1, W, C)
        return images + rows


def covariance(images: np.ndarray) -> np.ndarray:
    """(C, C) float64: the mean of (x − mean)(x − mean)ᵀ over all pixels x of images (N, H, W, C) uint8, divided by 255.

    Sums and products are taken in whole numbers, and rounded once, so the result does not depend on an order of summation.
    """
    C = checked("Lighting.of", images, bytes_for="Use the images of a data set that keeps bytes")[-1]
    pixels = images.reshape(-1, C)
    n = len(pixels)
    if not n:
        raise ValueError(f"Lighting.of: there are no pixels in images of shape {images.shape}")
    sums, products = np.zeros(C, object), np.zeros((C, C), object)
    for at in range(0, n, CHUNK):
        chunk = pixels[at:at + CHUNK].astype(np.float64)
        sums += chunk.sum(0).astype(np.int64).astype(object)
        products += (chunk.T @ chunk).astype(np.int64).astype(object)
    return ((n * products - np.outer(sums, sums)) / (n * n * 255 ** 2)).astype(np.float64)
