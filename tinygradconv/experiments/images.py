"""The images of an experiment: a data set, or a smaller one made of it."""
from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from tinygradconv import data as data_sets
from tinygradconv.data import DataSet, Split
from tinygradconv.data.statistics import mean_and_deviation


@dataclass(frozen=True)
class Images:
    """A data set of `tinygradconv.data` by name, its images halved so many times, the first `train` and `test` of them (None: all)."""

    name: str
    halved: int = 0
    train: int | None = None
    test: int | None = None

    def __str__(self) -> str:
        parts = [self.name]
        if self.halved:
            parts.append(f"at 1/{2**self.halved} of its size")
        if self.train is not None:
            parts.append(f"the first {self.train:,} images")
        return ", ".join(parts)

    def load(self, root: str | os.PathLike | None = None) -> DataSet:
        """The data set; one that is smaller is normalised by its own training images. Errors as those of `data.get`."""
        whole = data_sets.get(self.name, root)
        if self == Images(self.name):
            return whole
        splits = {}
        for name, count in (("train", self.train), ("test", self.test)):
            split: Split = getattr(whole, name)
            images = split.images[:count]
            for _ in range(self.halved):
                images = halve(images)
            splits[name] = Split(images, split.labels[:count])
        mean, deviation = mean_and_deviation(splits["train"].images)
        return replace(whole, name=str(self), mean=mean, deviation=deviation, **splits)


def halve(images: np.ndarray) -> np.ndarray:
    """y[n, i, j] = mean of x[n, 2i … 2i+1, 2j … 2j+1], (N, H/2, W/2, C), of the same dtype; bytes are rounded, a half upwards.

    ValueError where H or W is odd.
    """
    N, H, W, C = images.shape
    if H % 2 or W % 2:
        raise ValueError(f"halve: images must have an even number of rows and columns, got {H}×{W}")
    if images.dtype != np.uint8:
        return images.reshape(N, H // 2, 2, W // 2, 2, C).mean((2, 4), dtype=np.float64).astype(images.dtype)
    rows = images[:, ::2].astype(np.uint16) + images[:, 1::2]
    return ((rows[:, :, ::2] + rows[:, :, 1::2] + 2) // 4).astype(np.uint8)
