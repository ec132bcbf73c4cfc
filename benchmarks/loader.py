"""What the loader costs: batches made one after another, and how long a training that goes on beside it waits for them."""
from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

import tinygradconv as tgc
from tinygradconv.data import DeviceLoader, Loader, Split
from tinygradconv.data.augment import (
    ColorJitter,
    CutMix,
    Cutout,
    Distort,
    Flip,
    Lighting,
    Mixup,
    Normalize,
    PadCrop,
    RandomResizedCrop,
    affine,
)
from tinygradconv.models import get
from tinygradconv.train.optim import SGD

from .common import DEVICES, Benchmark

BATCH, BATCHES = 128, 8
AUGMENTATIONS = {
    "none": None,
    "pad_crop_flip": PadCrop(4) >> Flip(),
    "cutout": PadCrop(4) >> Flip() >> Cutout(16),
    "cutmix": PadCrop(4) >> Flip() >> CutMix(),
    "mixup": PadCrop(4) >> Flip() >> Mixup(1.0),
    "color_jitter": ColorJitter(0.4, 0.4, 0.4),
    "lighting": Lighting((0.2, 0.02, 0.005), ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    "distort": Distort(0.2, 0.1, 0.1, 2.0),
    "resized_crop": RandomResizedCrop(),
}


def loader_of(images: int, shape: tuple[int, int, int], batch_size: int, augment: Any, workers: int | None) -> Loader:
    """A loader of random bytes, with ten classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, *shape), dtype=np.uint8)
    return Loader(Split(pixels, np.arange(images) % 10), (125.0, 123.0, 114.0)[:shape[-1]], (63.0, 62.0, 66.0)[:shape[-1]], batch_size, 0,
                  augment, 10, workers=workers)


class Loading(Benchmark):
    """Eight batches of 128 images, 32×32×3."""

    params = [list(AUGMENTATIONS), ["0", "1"]]
    param_names = ["augmentation", "workers"]

    def prepare(self, augmentation: str, workers: str) -> None:
        """Images of random bytes."""
        self.loader = loader_of(BATCH * BATCHES, (32, 32, 3), BATCH, AUGMENTATIONS[augmentation], int(workers))

    def time_epoch(self, augmentation: str, workers: str) -> None:
        """All of the batches, with nothing else to do."""
        for _ in self.loader.batches():
            pass


class LoadingThere(Benchmark):
    """The same eight batches, made on the device where the images lie as bytes; on the CPU by the kernel's NumPy definition."""

    params = [DEVICES, ["none", "pad_crop_flip", "cutout"]]
    param_names = ["device", "augmentation"]

    def prepare(self, device: str, augmentation: str) -> None:
        """Images of random bytes, on the device."""
        self.loader = DeviceLoader(loader_of(BATCH * BATCHES, (32, 32, 3), BATCH, AUGMENTATIONS[augmentation], 0), device)

    def time_epoch(self, device: str, augmentation: str) -> None:
        """All of the batches, with nothing else to do."""
        for _ in self.loader.batches():
            pass


class Pixels(Benchmark):
    """The loader's kernels on a batch of bytes."""

    params = ["64x28x28x1", "128x32x32x3", "64x64x64x3"]
    param_names = ["images"]

    def prepare(self, images: str) -> None:
        """Bytes, and an affine map for each image."""
        N, *shape = map(int, images.split("x"))
        random = np.random.default_rng(0)
        self.images = random.integers(0, 256, (N, *shape), dtype=np.uint8)
        self.matrices, self.shifts = np.eye(2) + random.uniform(-0.15, 0.15, (N, 2, 2)), random.uniform(-2, 2, (N, 2))
        self.normalize = Normalize((125.0,) * shape[-1], (63.0,) * shape[-1])

    def time_warp(self, images: str) -> None:
        """Each image sampled along its own axes."""
        affine(self.images, self.matrices, self.shifts)

    def time_normalize(self, images: str) -> None:
        """(image − mean) / deviation."""
        self.normalize(self.images)


class Training(NamedTuple):
    """A network that learns from images of a shape, so many at a time, changed in some way; `steps` of it are measured."""

    network: str
    shape: tuple[int, int, int]
    batch_size: int
    augment: Any
    steps: int


TRAININGS = {
    "lenet5": Training("lenet5", (28, 28, 1), 64, Distort(0.15, 0.1, 0.1, 1.0), 100),
    "resnet20": Training("resnet20", (32, 32, 3), 128, PadCrop(4) >> Flip(), 4),
    "resnet20_photographs": Training("resnet20", (64, 64, 3), 64, RandomResizedCrop() >> Flip(), 4),
}


class Waiting(Benchmark):
    """Steps of SGD with momentum on the batches of a loader with the workers that it has by default, as `train` takes them."""

    params = [list(TRAININGS)]
    param_names = ["training"]

    def prepare(self, training: str) -> None:
        """A network with weights, and a loader."""
        what = TRAININGS[training]
        self.model = get(what.network)[0].build(what.shape, seed=0)
        self.loader = loader_of(what.batch_size * what.steps, what.shape, what.batch_size, what.augment, None)
        self.optimizer = SGD(self.model.parameters, momentum=0.9)
        self.parameters = list(self.optimizer.parameters.values())

    def epoch(self) -> tuple[float, float]:
        """(seconds for which the training waited for a batch, all seconds); the first batch, which nothing was made beside, not counted."""
        batches = self.loader.batches()
        self.step(*next(batches))
        waited, begun, at = 0.0, time.perf_counter(), time.perf_counter()
        for x, labels in batches:
            waited += time.perf_counter() - at
            self.step(x, labels)
            at = time.perf_counter()
        return waited, at - begun

    def step(self, x: np.ndarray, labels: np.ndarray) -> None:
        """Forward, loss, gradients, update; the rate is so small that the thousandth step computes what the first did."""
        loss = tgc.cross_entropy(self.model(tgc.Tensor.of(x), train=True), tgc.Tensor.of(labels))
        self.optimizer.update(tgc.grad(loss, self.parameters), 1e-9)

    def track_share_waited(self, training: str) -> float:
        """Of an epoch's time, the share in which the training waited for the loader."""
        waited, seconds = self.epoch()
        return 100 * waited / seconds

    track_share_waited.unit = "%"
