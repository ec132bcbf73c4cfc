"""Two images in one, and labels that say how much of each."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygradconv.geometry import real
from tinygradconv.ops.random import key_of, permutation

from .base import Augmentation, checked, probability
from .cutout import boxes
from .draws import below, beta, fractions


@dataclass(frozen=True)
class _Mixing(Augmentation):
    """Each image meets another of its batch, given by a random permutation, with a weight λ from Beta(α, α).

    Labels are probabilities (N, classes), float32, as `cross_entropy` takes them; a loader makes them of classes.
    """

    alpha: float
    probability: float = 1.0
    mixes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if real("alpha", self.alpha, where=type(self).__name__) <= 0:
            raise ValueError(f"{type(self).__name__}: alpha must be above 0, got {self.alpha!r}")
        probability(type(self).__name__, self.probability)

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> Any:
        """TypeError: without labels nothing can be learned from mixed images."""
        raise TypeError(f"{type(self).__name__} changes the labels too: use .batch(images, labels, key=…, step=…)")

    def _drawn(self, images: np.ndarray, labels: np.ndarray, key: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(the partner of each image, its own weight λ, float64)."""
        name = type(self).__name__
        N, *_ = checked(name, images)
        if not isinstance(labels, np.ndarray) or labels.dtype.kind != "f" or labels.ndim != 2 or len(labels) != N:
            raise ValueError(f"{name}: labels must be probabilities of shape ({N}, classes), got "
                             f"{getattr(labels, 'dtype', type(labels).__name__)} {np.shape(labels)}. "
                             f"Use np.eye(classes, dtype='float32')[labels]")
        partner = np.asarray(permutation(N, key=key_of(key, "partner"), step=step))
        own = beta(N, self.alpha, key=key_of(key, "weight"), step=step)
        taken = fractions(1, N, key=key_of(key, "chosen"), step=step)[0] < self.probability
        return partner, np.where(taken, own, 1.0)


def _mixed_labels(labels: np.ndarray, partner: np.ndarray, own: np.ndarray) -> np.ndarray:
    """λ · labels + (1 − λ) · labels[partner], float32."""
    return (own[:, None] * labels + (1 - own)[:, None] * labels[partner]).astype(np.float32)


@dataclass(frozen=True)
class Mixup(_Mixing):
    """λ · x + (1 − λ) · x[partner], images as labels, λ drawn for each image from Beta(α, α); an image is chosen with `probability`.

    Images become float32. Source: Zhang et al. 2018 (α from 0.1 to 0.4 for ImageNet, 1 for CIFAR-10).
    """

    alpha: float = 0.2

    def batch(self, images: np.ndarray, labels: np.ndarray, *, key: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(images float32, labels float32 (N, classes)), mixed."""
        partner, own = self._drawn(images, labels, key, step)
        weight = own.astype(np.float32).reshape(-1, 1, 1, 1)
        other = images[partner].astype(np.float32)
        return other + (images - other) * weight, _mixed_labels(labels, partner, own)


@dataclass(frozen=True)
class CutMix(_Mixing):
    """A box of each image is replaced by that of its partner; labels are weighed by the areas that are left.

    The box covers 1 − λ of the area, has the image's proportions, and lies around a random pixel; what of it reaches outside is
    lost, and counted so. Bytes stay bytes. Source: Yun et al. 2019 (α = 1; with probability ½ for CIFAR).
    """

    alpha: float = 1.0

    def batch(self, images: np.ndarray, labels: np.ndarray, *, key: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(images, labels float32 (N, classes)), mixed."""
        partner, own = self._drawn(images, labels, key, step)
        N, H, W, _ = images.shape
        side = np.sqrt(1 - own)
        rows, columns = (side * H).astype(np.int64), (side * W).astype(np.int64)
        y, x = fractions(2, N, key=key_of(key, "place"), step=step)
        out, left = images.copy(), np.empty(N)
        for n, down, across in boxes(H, W, below(y, H) - rows // 2, below(x, W) - columns // 2, rows, columns):
            out[n, down, across] = images[partner[n], down, across]
            left[n] = 1 - (down.stop - down.start) * (across.stop - across.start) / (H * W)
        return out, _mixed_labels(labels, partner, left)
