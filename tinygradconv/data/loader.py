"""Batches in an order that depends only on the seed and the epoch, so that a run can go on in the middle of one."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tinygradconv.geometry import integer
from tinygradconv.ops.random import key_of, permutation

from .dataset import DataSet, Split


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of (image − mean) / deviation, float32 (N, H, W, C), with labels int64 (N,); the last batch may be smaller.

    With a `seed` epoch e goes through the images in the order of permutation(n, key_of(seed, "data order"), step=e), and `augment`,
    if any, works on the values that the images have on disk; without one they come in their own order, unchanged.
    """

    split: Split
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    batch_size: int
    seed: int | None = None
    augment: Callable[..., np.ndarray] | None = None

    def __post_init__(self) -> None:
        integer("batch_size", self.batch_size, at_least=1, where="Loader")
        if self.seed is not None:
            integer("seed", self.seed, at_least=0, where="Loader")

    @classmethod
    def training(cls, data: DataSet, batch_size: int, seed: int, augment: Callable[..., np.ndarray] | None = None) -> Loader:
        """The training images, shuffled anew in every epoch."""
        return cls(data.train, data.mean, data.deviation, batch_size, seed, augment)

    @classmethod
    def testing(cls, data: DataSet, batch_size: int = 250) -> Loader:
        """The test images, in order."""
        return cls(data.test, data.mean, data.deviation, batch_size)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self.split) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """The positions of the images in the order of this epoch."""
        if self.seed is None:
            return np.arange(len(self.split))
        return np.asarray(permutation(len(self.split), key=key_of(self.seed, "data order"), step=epoch))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of one epoch, from batch `start` on: the same ones whether or not those before were drawn."""
        integer("start", start, at_least=0, where="batches")
        order = self.order(epoch)
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        for batch in range(start, len(self)):
            chosen = order[batch * self.batch_size:(batch + 1) * self.batch_size]
            x = self.split.images[chosen].astype(np.float32)
            if self.augment is not None:
                x = self.augment(x, key=key_of(self.seed, "augmentation"), step=epoch * len(self) + batch)
            yield (x - mean) / deviation, self.split.labels[chosen].astype(np.int64)
