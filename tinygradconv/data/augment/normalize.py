"""(image − mean) / deviation, by channel."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from tinygradconv.backends import CPU
from tinygradconv.geometry import real

from .base import Augmentation, checked


@dataclass(frozen=True)
class Normalize(Augmentation):
    """(x − mean) / deviation, one number of each for each channel; float32. Nothing is drawn.

    A loader does this last of all, with its own mean and deviation, unless `augment` has it. TypeError or ValueError for numbers
    that are none, or a deviation that is not above 0.
    """

    by_image: ClassVar[bool] = True
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("mean", "deviation"):
            object.__setattr__(self, name, tuple(real(name, value, where="Normalize") for value in getattr(self, name)))
        if len(self.mean) != len(self.deviation) or not all(d > 0 for d in self.deviation):
            raise ValueError(f"Normalize: mean and deviation must have one number per channel, deviations above 0; "
                             f"got mean {self.mean}, deviation {self.deviation}")

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.mean, np.float32), np.array(self.deviation, np.float32)

    def arrays(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """(mean, deviation), float32 (channels,). ValueError: there are others than so many."""
        if len(self.mean) != channels:
            raise ValueError(f"Normalize: it has {len(self.mean)} means, but images have {channels} channels. Give one for each channel")
        return self._arrays

    def __call__(self, images: np.ndarray, *, key: int = 0, step: int = 0) -> np.ndarray:
        """(images − mean) / deviation, float32 (N, H, W, C)."""
        N, H, W, C = checked("Normalize", images)
        arrays, out = self.arrays(C), CPU.empty(images.shape, np.float32)
        CPU.run("normalize", images.reshape(N * H * W, C), *arrays, out.reshape(N * H * W, C))
        return out
