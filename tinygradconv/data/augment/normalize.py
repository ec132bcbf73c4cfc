"""(image − mean) / deviation, by channel."""
from __future__ import annotations

from dataclasses import dataclass
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

    def __call__(self, images: np.ndarray, *, key: int = 0, step: int = 0) -> np.ndarray:
        """(images − mean) / deviation, float32 (N, H, W, C)."""
        N, H, W, C = checked("Normalize", images)
        if len(self.mean) != C:
            raise ValueError(f"Normalize: it has {len(self.mean)} means, but images have {C} channels. Give one for each channel")
        out = np.empty(images.shape, np.float32)
        mean, deviation = (np.array(values, np.float32) for values in (self.mean, self.deviation))
        CPU.run("normalize", images.reshape(N * H * W, C), mean, deviation, out.reshape(N * H * W, C))
        return out
