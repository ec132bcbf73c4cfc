"""MNIST and Fashion-MNIST, from their official idx.gz files in ROOT/mnist/ and ROOT/fashion-mnist/.

MNIST: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition". Fashion-MNIST: Xiao,
Rasul and Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms".
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

from .dataset import DataSet, Split
from .fetch import Remote, fetch
from .idx import read_idx

NAMES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
# The authors' page no longer serves its files; these two do, byte for byte.
MNIST = Remote("mnist", ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"), dict(zip(
    NAMES, ((9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"), (28881, "d53e105ee54ea40749a09fcbcd1e9432"),
            (1648877, "9fb629c4189551a2d022fa330f9573f3"), (4542, "ec29112dd5afa0611ce80d1b7f02629c")))))
FASHION_MNIST = Remote("fashion-mnist", (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
), dict(zip(NAMES, ((26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"), (29515, "25c81989df183df01b3e8a0aad5dffbe"),
                    (4422102, "bef4ecab320f06d8554ea6380940ec79"), (5148, "bb300cfdad3c16e7a12a480ee83cd310")))))
GARMENTS = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def _split(images: Path, labels: Path, classes: int) -> Split:
    x, y = read_idx(images, (28, 28)), read_idx(labels)
    if len(x) != len(y):
        raise ValueError(f"{labels} has {len(y)} labels but {images} has {len(x)} images")
    if y.max() >= classes:
        raise ValueError(f"{labels}: labels must be 0 to {classes - 1}, got {y.max()} at position {int(y.argmax())}")
    return Split(x[..., None], y.astype(np.int64))


def _load(root: Path, remote: Remote, classes: tuple[str, ...], mean: float, deviation: float) -> DataSet:
    train_images, train_labels, test_images, test_labels = fetch(root, remote)
    return DataSet(remote.folder, _split(train_images, train_labels, len(classes)), _split(test_images, test_labels, len(classes)),
                   classes, (mean,), (deviation,))


def mnist(root: Path) -> DataSet:
    """60,000 + 10,000 handwritten digits (28, 28, 1), uint8; ValueError or FileNotFoundError names a file that is damaged or missing."""
    return _load(root, MNIST, tuple("0123456789"), 33.3184, 78.5675)


def fashion_mnist(root: Path) -> DataSet:
    """60,000 + 10,000 garments (28, 28, 1), uint8; ValueError or FileNotFoundError names a file that is damaged or missing."""
    return _load(root, FASHION_MNIST, GARMENTS, 72.9404, 90.0212)
