"""What every augmentation has in common, and several of them in order."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygradconv.geometry import real
from tinygradconv.ops.random import key_of


class Augmentation:
    """A change of the images of a batch by the random numbers of (key, step); see the package for those that there are."""

    mixes: ClassVar[bool] = False        # whether it changes labels too, and so wants them as probabilities (N, classes)
    by_image: ClassVar[bool] = False     # whether no image depends on another, and draws are `of_rows`: it then may get a part of a batch

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """The changed images (N, H, W, C), in a new array."""
        raise NotImplementedError

    def batch(self, images: np.ndarray, labels: np.ndarray, *, key: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(images, labels), both changed where the augmentation mixes."""
        return self(images, key=key, step=step), labels

    def normalized(self, images: np.ndarray, normalize: Any, *, key: int, step: int) -> np.ndarray:
        """normalize(self(images)), the same bits: one that samples images does both in one pass. Not for one that mixes."""
        return normalize(self(images, key=key, step=step))

    def __rshift__(self, other: Any) -> Chain:
        return Chain((self, other))


@dataclass(frozen=True)
class Chain(Augmentation):
    """Augmentations one after another; each draws from a stream of its own. TypeError for what is none."""

    steps: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        flat: list[Augmentation] = []
        for step in self.steps:
            if not isinstance(step, Augmentation):
                got, written = (f"the class {step.__name__}", f"{step.__name__}(…)") if isinstance(step, type) else (repr(step), "Flip()")
                raise TypeError(f"an augmentation must be a value such as {written}, got {got}")
            flat += step.steps if isinstance(step, Chain) else [step]
        object.__setattr__(self, "steps", tuple(flat))

    @property
    def mixes(self) -> bool:                # type: ignore[override]
        """Whether one of them changes labels."""
        return any(step.mixes for step in self.steps)

    @property
    def by_image(self) -> bool:             # type: ignore[override]
        """Whether no image depends on the others in any of them."""
        return all(step.by_image for step in self.steps)

    def __call__(self, images: np.ndarray, *, key: int, step: int) -> np.ndarray:
        """The images after all the steps; TypeError where one of them mixes labels."""
        for i, one in enumerate(self.steps):
            images = one(images, key=key_of(key, f"step {i}"), step=step)
        return images

    def batch(self, images: np.ndarray, labels: np.ndarray, *, key: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(images, labels) after all the steps."""
        for i, one in enumerate(self.steps):
            images, labels = one.batch(images, labels, key=key_of(key, f"step {i}"), step=step)
        return images, labels

    def normalized(self, images: np.ndarray, normalize: Any, *, key: int, step: int) -> np.ndarray:
        """The images after all the steps, the last of which normalises too."""
        if not self.steps:
            return normalize(images)
        images = Chain(self.steps[:-1])(images, key=key, step=step)
        return self.steps[-1].normalized(images, normalize, key=key_of(key, f"step {len(self.steps) - 1}"), step=step)

    def __str__(self) -> str:
        return " >> ".join(map(str, self.steps))


def chain(augment: Any) -> Any:
    """`augment` as one thing to call: a tuple or list of augmentations is their Chain; a function or None is left as it is."""
    if isinstance(augment, tuple | list):
        return Chain(tuple(augment))
    if augment is None or isinstance(augment, Augmentation) or (callable(augment) and not isinstance(augment, type)):
        return augment
    return Chain((augment,))                   # which says what is wrong with it


def checked(where: str, images: Any, *, bytes_for: str = "") -> tuple[int, int, int, int]:
    """The shape of images (N, H, W, C), uint8 or float32; TypeError or ValueError for others, or for floats where bytes are needed."""
    if not isinstance(images, np.ndarray) or images.dtype not in (np.uint8, np.float32):
        raise TypeError(f"{where}: images must be a NumPy array of uint8 or float32, got {getattr(images, 'dtype', type(images).__name__)}")
    if images.ndim != 4:
        raise ValueError(f"{where}: images must have the shape (N, H, W, C), got {images.shape}. Of a single one take image[None]")
    if bytes_for and images.dtype != np.uint8:
        raise TypeError(f"{where}: images must be bytes (uint8), got float32. {bytes_for}")
    return images.shape


def probability(where: str, value: Any) -> None:
    """ValueError unless `value` is a number from 0 to 1."""
    if not 0 <= real("probability", value, where=where) <= 1:
        raise ValueError(f"{where}: probability must be from 0 to 1, got {value!r}")
