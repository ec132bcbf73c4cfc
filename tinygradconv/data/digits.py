"""The handwritten digits that ship inside the package: 1,797 real images of 8×8, enlarged to 28×28.

The UCI optical digits (Alpaydin and Kaynak 1998, CC BY 4.0) in scikit-learn's order: the first 1,437 images are for
training, the last 360, by other writers, for the test. `digits.LICENCE.txt` beside this file has licence and citation.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

from .dataset import DataSet, Split
from .resize import bilinear

TRAINING_IMAGES = 1437
SIZE = 28                                     # so that LeNet-5 is the network that MNIST trains
MEAN, DEVIATION = 4.88618, 5.18144            # of the enlarged training images


def digits(root: Path | None = None) -> DataSet:
    """1,437 + 360 images (28, 28, 1), float32 from 0 to 16, bilinearly enlarged from 8×8; nothing is read from `root`."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        images, labels = file["images"], file["labels"].astype(np.int64)
    large = bilinear(images[..., None], SIZE, SIZE)
    train, test = (Split(large[part], labels[part]) for part in (slice(TRAINING_IMAGES), slice(TRAINING_IMAGES, None)))
    return DataSet("digits", train, test, classes=tuple("0123456789"), mean=(MEAN,), deviation=(DEVIATION,))
