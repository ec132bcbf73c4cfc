"""What a data set is: images, labels, the names of the classes, and how its values are normalised."""
from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, H, W, C), uint8 or float32, and their labels (N,), integers from 0. Both arrays are made read-only.

    ValueError: another number of axes, another dtype, no images, or as many labels as there are not images.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        for name in ("images", "labels"):
            if not isinstance(getattr(self, name), np.ndarray):
                raise TypeError(f"{name} must be a NumPy array, got {type(getattr(self, name)).__name__}. Use np.asarray({name})")
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.float32):
            raise ValueError(f"images must be uint8 or float32 of shape (N, H, W, C), got {self.images.dtype} {self.images.shape}")
        if self.labels.ndim != 1 or self.labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers of shape (N,), got {self.labels.dtype} {self.labels.shape}")
        if len(self.images) != len(self.labels) or not len(self.images):
            raise ValueError(f"there must be as many labels as images, and at least one; "
                             f"got {len(self.labels)} labels and {len(self.images)} images")
        for name in ("images", "labels"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set for classification: what to learn from (`train`), what to be judged by (`test`), and the names of the classes.

    Images keep the bytes that they have on disk; a loader makes (image − mean) / deviation of them, one batch at a time. `mean` and
    `deviation` have one number per channel and are those of the training images. ValueError: splits of different shapes, labels
    that no class has, a deviation that is not positive.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise ValueError(f"{self.name}: training images are {self.train.images.shape[1:]} but test images {self.test.images.shape[1:]}")
        for said, split in (("training", self.train), ("test", self.test)):
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(f"{self.name}: {said} labels must be 0 to {len(self.classes) - 1}, got {low if low < 0 else high}")
        channels = self.input_shape[-1]
        if len(self.mean) != channels or len(self.deviation) != channels or not all(d > 0 for d in self.deviation):
            raise ValueError(f"{self.name}: mean and deviation must have one number per channel ({channels}), deviations above 0; "
                             f"got mean {self.mean}, deviation {self.deviation}")

    def checksum(self) -> int:
        """The CRC-32 of all images and labels, by which a run notices that it goes on with other data than it began with."""
        crc = 0
        for split in (self.train, self.test):
            crc = zlib.crc32(np.ascontiguousarray(split.labels), zlib.crc32(np.ascontiguousarray(split.images), crc))
        return crc

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        return self.train.images.shape[1:]
