"""Batches made where the model is: the data set lies there as bytes, and one kernel picks out, changes and normalises a batch.

    loader = DeviceLoader(Loader.training(cifar, 128, seed=0, augment=PadCrop(4) >> Flip()), "cuda")
    for x, labels in loader.batches(epoch): …                   # the Loader's batches to the bit, as tensors on the GPU

Within a captured step (tinygradconv.capture) the place in the epoch is the argument, and the batch is made by the recorded graph:

    step = capture(lambda place, rate: learn(*loader.batch(place), rate))
    for place in loader.places(epoch): loss = step(place, rate)
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygradconv.backends import CHANGES, backend_named, piece
from tinygradconv.geometry import integer, pair
from tinygradconv.ops.random import key_of
from tinygradconv.tensor import Tensor

from .augment.base import Augmentation, Chain
from .augment.crop import Flip, PadCrop, filled
from .augment.cutout import Cutout
from .augment.normalize import Normalize
from .loader import Loader

UNITS = 2.0 ** 53                          # a fraction that is drawn is a whole number of 1 / UNITS


class DeviceLoader:
    """The batches of a `loader`, made on a device: tensors x (N, h, w, C) float32 and labels (N,) int64, the same numbers to the bit.

    Images (in the dtype that they have) and labels are moved there once; MemoryError where they do not fit. TypeError for augmentations
    other than PadCrop, Flip and Cutout, with a Normalize after them or the loader's own: those are made on the host, by the loader itself.
    """

    def __init__(self, loader: Loader, device: str = "cuda") -> None:
        images = loader.split.images
        self.loader, self._be = loader, backend_named(device)
        changes, fills, normalize, self._size = changes_of(loader, *images.shape[1:])
        put, mean_deviation = self._be.asarray, normalize.arrays(images.shape[3])
        self._images, self._labels = put(images), put(loader.split.labels.astype(np.int64))
        self._changes, self._fills = put(changes), put(fills)
        self._mean, self._deviation = map(put, mean_deviation)
        self._order = self._be.empty((len(loader.split),), np.dtype(np.int64))

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self.loader)

    def rows(self, batch: int) -> tuple[int, int, int]:
        """(first, last + 1, all): see Loader.rows."""
        return self.loader.rows(batch)

    def order(self, epoch: int) -> np.ndarray:
        """The positions of the images in the order of this epoch."""
        return self.loader.order(epoch)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, from batch `start` on: the same ones whether or not those before were drawn."""
        integer("start", start, at_least=0, where="batches")
        order = self._be.asarray(self.order(epoch))
        return (self._made(order, self._be.asarray(self._place(epoch, number)), *self.rows(number)) for number in range(start, len(self)))

    def places(self, epoch: int = 0, start: int = 0) -> Iterator[Tensor]:
        """Where each batch of an epoch begins, for `batch`: (position in the order, step of the random numbers), int64 on the device.

        The epoch's order becomes the one that `batch` goes by, so an epoch is to be ended before the next is begun.
        """
        integer("start", start, at_least=0, where="places")
        self._be.assign(self._order, self.order(epoch))
        # All in one array, which goes there at once: a place is a part of it.
        every = self._be.asarray(np.array([self._place(epoch, number) for number in range(len(self))], np.int64).reshape(-1))
        return (Tensor.of(piece(every, 2 * number, (2,))) for number in range(start, len(self)))

    def batch(self, place: Tensor, rows: tuple[int, int, int] | None = None) -> tuple[Tensor, Tensor]:
        """The batch (x, labels) at a place that `places` gave, in the order of its epoch; `rows` are those that `rows(number)` says.

        Without them it is of the size of the first batch. ValueError where the last one is smaller then: a step that is captured has
        batches of one size.
        """
        if rows is None and self.rows(len(self) - 1) != self.rows(0):
            raise ValueError(f"DeviceLoader.batch: the last batch of an epoch has {self.rows(len(self) - 1)[2]} images, the others "
                             f"{self.rows(0)[2]}. Give the Loader drop_last=True, or take batches()")
        return self._made(self._order, place.data, *(self.rows(0) if rows is None else rows))

    def _place(self, epoch: int, batch: int) -> np.ndarray:
        return np.array([batch * self.loader.batch_size + self.rows(batch)[0], epoch * len(self) + batch], np.int64)

    def _made(self, order: Any, place: Any, first: int, last: int, total: int) -> tuple[Tensor, Tensor]:
        x = self._be.empty((last - first, *self._size), np.dtype(np.float32))
        labels = self._be.empty((last - first,), np.dtype(np.int64))
        self._be.run("assemble", self._images, self._labels, order, place, self._changes, self._fills, self._mean, self._deviation, x,
                     labels, first, total)
        return Tensor.of(x), Tensor.of(labels)


def changes_of(loader: Loader, H: int, W: int, C: int) -> tuple[np.ndarray, np.ndarray, Normalize, tuple[int, int, int]]:
    """(changes, fills) of a loader's augmentations as kernels/assemble takes them, what normalises, and the size (h, w, C) after them.

    TypeError: one of them cannot be made on a device.
    """
    augment, dtype = loader.augment, loader.split.images.dtype
    key = None if augment is None else key_of(loader.seed, "augmentation")
    chained = isinstance(augment, Chain)
    steps: list[Any] = [] if augment is None else list(augment.steps) if chained else [augment]
    normalize = steps.pop() if steps and type(steps[-1]) is Normalize else Normalize(loader.mean, loader.deviation)
    rows, fills = np.empty((len(steps), 7), np.int64), np.zeros((len(steps), C), np.float32)
    for i, step in enumerate(steps):
        kind, amount, after, fills[i] = _change(step, H, W, C, dtype)
        own = key_of(key, f"step {i}") if chained else key
        rows[i] = [kind, np.uint64(own).astype(np.int64), amount, H, W, *after]
        H, W = after
    return rows, fills, normalize, (H, W, C)


def _change(step: Any, H: int, W: int, C: int, dtype: np.dtype) -> tuple[int, int, tuple[int, int], Any]:
    """(kind, amount, size after it, fill) of one augmentation."""
    if type(step) is Flip:
        return CHANGES["flip"], int(np.ceil(step.probability * UNITS)), (H, W), 0
    if type(step) is PadCrop:
        size = (H, W) if step.size is None else pair("size", step.size, at_least=1)
        if size[0] > H + 2 * step.padding or size[1] > W + 2 * step.padding:
            step(np.empty((0, H, W, C), dtype), key=0, step=0)             # which says so
        return CHANGES["crop"], step.padding, size, filled("PadCrop", step.fill, dtype)
    if type(step) is Cutout:
        values = step.fill if isinstance(step.fill, tuple) else (step.fill,) * C
        if len(values) != C:
            step(np.empty((0, H, W, C), dtype), key=0, step=0)             # which says so
        return CHANGES["cutout"], step.size, (H, W), [filled("Cutout", value, dtype) for value in values]
    what = step if isinstance(step, Augmentation) else "a function of your own"
    raise TypeError(f"DeviceLoader: {what} is made on the host. On a device there are PadCrop, Flip and Cutout, and a Normalize after "
                    f"them; for others take the Loader, and move its batches: Tensor(x).to('cuda')")


def on_device(loader: Loader, device: str) -> Loader | DeviceLoader:
    """What makes a loader's batches for a model on this device: on the CPU the loader itself, elsewhere a DeviceLoader.

    It is the loader too where images are changed in a way that only the host knows, or do not fit into the device's memory.
    """
    try:
        if device != "cpu":
            changes_of(loader, *loader.split.images.shape[1:])
            return DeviceLoader(loader, device)
    except (TypeError, MemoryError):
        pass
    return loader
