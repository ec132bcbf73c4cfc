"""Batches of CIFAR-10's size, made when they are asked for: what the loader costs beside a step of training."""
from __future__ import annotations

import numpy as np

from tinygradconv.data import Loader, Split
from tinygradconv.data.augment import ColorJitter, CutMix, Cutout, Distort, Flip, Lighting, Mixup, PadCrop, RandomResizedCrop

from .common import Benchmark

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


class Loading(Benchmark):
    """Eight batches of 128 images, 32×32×3."""

    params = [list(AUGMENTATIONS), ["0", "1"]]
    param_names = ["augmentation", "workers"]

    def prepare(self, augmentation: str, workers: str) -> None:
        """Images of random bytes."""
        images = np.random.default_rng(0).integers(0, 256, (BATCH * BATCHES, 32, 32, 3)).astype(np.uint8)
        split = Split(images, np.arange(len(images)) % 10)
        self.loader = Loader(split, (125.0, 123.0, 114.0), (63.0, 62.0, 66.0), BATCH, 0, AUGMENTATIONS[augmentation], 10,
                             workers=int(workers))

    def time_epoch(self, augmentation: str, workers: str) -> None:
        """All of the batches, with nothing else to do."""
        for _ in self.loader.batches():
            pass
