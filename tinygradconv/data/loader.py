"""Batches in an order that depends only on the seed and the epoch, so that a run can go on in the middle of one."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygradconv.geometry import integer
from tinygradconv.ops.random import key_of, permutation
from tinygradconv.parallel.group import share_of

from .augment.base import Augmentation, Chain, chain
from .augment.draws import part_of_batch
from .augment.normalize import Normalize
from .dataset import DataSet, Split

SHOWN = 8                       # positions of images in a note of an error
SMALL = 256 * 1024              # bytes of a batch, in float32, up to which no thread is started for it


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of (image − mean) / deviation, float32 (N, H, W, C), with labels int64 (N,); the last batch may be smaller.

    With a `seed` epoch e goes through the images in the order of permutation(n, key_of(seed, "data order"), step=e), and `augment`,
    if any, works on the values that the images have on disk; without one they come in their own order, unchanged.

    augment     an augmentation, a tuple of them, or a function (images, *, key, step) → images. Where it mixes images, labels are
                probabilities, float32 (N, classes); where it has a Normalize, the loader's own is left out
    drop_last   whether a last batch that is smaller is left out
    workers     batches are made by so many threads, a few ahead of the one that is asked for; 0: each when it is asked for. None, the
                default, becomes what `workers_for` says
    processes   whether workers are processes instead: for a function of one's own that keeps Python busy. They are started anew for
                every epoch, which takes about a second
    shard       (rank, size): only this rank's share of the rows of each batch is made, those from `rows(batch)[0]` on; it may be none.
                They are the rows that the whole batch would have. Where images are mixed, or by a function of one's own, every
                rank makes the whole batch and keeps its rows

    The batches are the same whatever the workers. An error in making one has a note that says which, and of which images.
    """

    split: Split
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    batch_size: int
    seed: int | None = None
    augment: Augmentation | Sequence[Augmentation] | Callable[..., np.ndarray] | None = None
    classes: int | None = None
    drop_last: bool = False
    workers: int | None = None
    processes: bool = False
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        integer("batch_size", self.batch_size, at_least=1, where="Loader")
        object.__setattr__(self, "augment", chain(self.augment))
        if self.workers is None:
            chosen = 1 if self.processes else workers_for(self.split.images.shape[1:], self.batch_size, self.augment)
            object.__setattr__(self, "workers", chosen)
        integer("workers", self.workers, at_least=0, where="Loader")
        rank, size = self.shard
        if integer("rank", rank, at_least=0, where="Loader") >= integer("size", size, at_least=1, where="Loader"):
            raise ValueError(f"Loader: shard is (rank, size), rank from 0 to size − 1, got {self.shard}")
        if self.seed is not None:
            integer("seed", self.seed, at_least=0, where="Loader")
        if self.augment is not None and self.seed is None:
            raise ValueError("Loader: augment draws random numbers, so it needs a seed: Loader(…, seed=0)")
        if not len(self):
            raise ValueError(f"Loader: there are {len(self.split)} images, less than one batch of {self.batch_size}, and drop_last leaves "
                             f"nothing. Use a smaller batch_size")

    @classmethod
    def training(cls, data: DataSet, batch_size: int, seed: int, augment: Any = None, **options: Any) -> Loader:
        """The training images, shuffled anew in every epoch; options are drop_last, workers, processes, shard."""
        return cls(data.train, data.mean, data.deviation, batch_size, seed, augment, len(data.classes), **options)

    @classmethod
    def testing(cls, data: DataSet, batch_size: int = 250, **options: Any) -> Loader:
        """The test images, in order."""
        return cls(data.test, data.mean, data.deviation, batch_size, classes=len(data.classes), **options)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self.split) // self.batch_size if self.drop_last else -(-len(self.split) // self.batch_size)

    def rows(self, batch: int) -> tuple[int, int, int]:
        """(first, last + 1, all): which rows of this batch of an epoch are the shard's, and how many the whole batch has."""
        total = min(self.batch_size, len(self.split) - batch * self.batch_size)
        return (*share_of(total, *self.shard), total)

    def order(self, epoch: int) -> np.ndarray:
        """The positions of the images in the order of this epoch."""
        if self.seed is None:
            return np.arange(len(self.split))
        return np.asarray(permutation(len(self.split), key=key_of(self.seed, "data order"), step=epoch))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of one epoch, from batch `start` on: the same ones whether or not those before were drawn."""
        integer("start", start, at_least=0, where="batches")
        order, finish, images, labels = self.order(epoch), self._finish(), self.split.images, self.split.labels
        by_image = self.augment is None or (isinstance(self.augment, Augmentation) and self.augment.by_image)

        def arguments(batch: int) -> tuple[np.ndarray, np.ndarray, int, str, np.ndarray, tuple[int, int, int]]:
            chosen, (first, last, total) = order[batch * self.batch_size:(batch + 1) * self.batch_size], self.rows(batch)
            if by_image:
                chosen = chosen[first:last]
            said = f"batch {batch} of epoch {epoch}"
            return (images.take(chosen, axis=0), labels.take(chosen).astype(np.int64, copy=False), epoch * len(self) + batch, said, chosen,
                    (first, last, total))
        pieces = range(start, len(self))
        if not self.workers or not pieces:
            return (finish(*arguments(batch)) for batch in pieces)
        from . import prefetch
        if self.processes:
            return prefetch.processes(arguments, finish, pieces, self.workers)
        return prefetch.threads(lambda batch: finish(*arguments(batch)), pieces, self.workers)

    def _finish(self) -> _Finish:
        steps = self.augment.steps if isinstance(self.augment, Chain) else (self.augment,)
        normalize = None if any(isinstance(step, Normalize) for step in steps) else Normalize(self.mean, self.deviation)
        classes = int(self.split.labels.max()) + 1 if self.classes is None else self.classes
        return _Finish(self.augment, None if self.augment is None else key_of(self.seed, "augmentation"), normalize, classes)


def workers_for(shape: Sequence[int], batch_size: int, augment: Any) -> int:
    """How many threads make batches of images (H, W, C) where nobody says: none up to 256 KB of float32, else one.

    The kernels of a training use every core, so a worker takes its time from them in any case; a small batch is not worth what handing
    it over costs beside that. What a function of one's own takes is not known: it gets a worker.
    """
    ours = augment is None or isinstance(augment, Augmentation | tuple | list)
    return 0 if ours and 4 * batch_size * math.prod(shape) <= SMALL else 1


@dataclass(frozen=True)
class _Finish:
    """What is done with the images of a batch once they are found: a value, so that it can go to another process."""

    augment: Any
    key: int | None
    normalize: Normalize | None
    classes: int

    def __call__(self, images: np.ndarray, labels: np.ndarray, step: int, said: str, chosen: np.ndarray,
                 rows: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """(images, labels) as the model gets them; an error says in a note where it happened: `said`, and the images chosen.

        What is given are the `rows` (first, last + 1, all) of a batch, or the whole batch, of which only these are returned.
        """
        first, last, total = rows
        try:
            if len(images) == total:
                made = self._made(images, labels, step)
                return made if last - first == total else tuple(np.ascontiguousarray(array[first:last]) for array in made)
            with part_of_batch(first, total):
                return self._made(images, labels, step)
        except Exception as problem:
            problem.add_note(f"in {said}{self._culprits(images, labels, step, chosen)}")
            raise

    def _made(self, images: np.ndarray, labels: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(self.augment, Augmentation):
            if not self.augment.mixes and self.normalize is not None:
                return self.augment.normalized(images, self.normalize, key=self.key, step=step), labels
            if self.augment.mixes:
                labels = np.eye(self.classes, dtype=np.float32)[labels]
            images, labels = self.augment.batch(images, labels, key=self.key, step=step)
        elif self.augment is not None:
            images = self.augment(images, key=self.key, step=step)
        return images if self.normalize is None else self.normalize(images), labels

    def _culprits(self, images: np.ndarray, labels: np.ndarray, step: int, chosen: np.ndarray) -> str:
        """Which images it happens with when each is tried alone; with none or all of them, which images there are."""
        bad = []
        for i in range(len(images)):
            try:
                self._made(images[i:i + 1], labels[i:i + 1], step)
            except Exception:
                bad.append(i)
        if 0 < len(bad) < len(images):
            return f", with image {chosen[bad[0]]} of the data set (label {labels[bad[0]]})"
        return f", images {', '.join(map(str, chosen[:SHOWN]))}{', …' if len(chosen) > SHOWN else ''} of the data set"
