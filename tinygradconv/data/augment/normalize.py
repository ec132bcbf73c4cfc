"""(image − mean) / deviation, by channel."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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
        # Repeated along a row, so that the loops run over whole rows rather than over the few channels of a pixel.
        mean, deviation = (np.tile(np.array(values, np.float32), W) for values in (self.mean, self.deviation))
        x = images.reshape(N * H, W * C).astype(np.float32)
        x -= mean
        x /= deviation
        return x.reshape(N, H, W, C)
