"""A data set of one's own NumPy arrays, checked once so that training does not stumble over them."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataset import DataSet, Split
from .statistics import mean_and_deviation

Pair = tuple[np.ndarray, np.ndarray]


def from_arrays(train: Pair, test: Pair, *, classes: Sequence[str] | None = None, name: str = "arrays") -> DataSet:
    """The data set of two pairs (images, labels), normalised by the training images' own mean and deviation; bytes stay bytes.

    images   (N, H, W, C), or (N, H, W) for grey ones; uint8, float32 or float64 (which becomes float32), finite
    labels   (N,) integers from 0, at most len(classes) − 1
    classes  the names of the classes; by default "0", "1", … up to the largest label

    TypeError: no array. ValueError: another shape or dtype, NaN or infinity, labels outside the classes, lengths that differ; says where.
    """
    pairs = {}
    for said, pair in (("train", train), ("test", test)):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"{name}: {said} must be a pair (images, labels), got {type(pair).__name__}")
        images, labels = _images(f"{name}: {said} images", pair[0]), _labels(f"{name}: {said} labels", pair[1])
        if len(images) != len(labels) or not len(images):
            raise ValueError(f"{name}: there must be as many {said} labels as images, and at least one; "
                             f"got {len(labels)} labels and {len(images)} images")
        pairs[said] = Split(images, labels)
    if classes is None:
        classes = [str(i) for i in range(1 + max(int(split.labels.max()) for split in pairs.values()))]
    return DataSet(name, pairs["train"], pairs["test"], tuple(classes), *mean_and_deviation(pairs["train"].images))


def _array(said: str, x: object) -> np.ndarray:
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{said} must be a NumPy array, got {type(x).__name__}. Use np.asarray")
    if x.dtype.kind not in "uif":
        raise ValueError(f"{said} must be numbers, got dtype {x.dtype}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        at = np.unravel_index(int(np.argmin(np.isfinite(x))), x.shape)
        raise ValueError(f"{said} must be finite, got {x[at]} at position {tuple(map(int, at))}. Replace it, or leave it out")
    return x


def _images(said: str, x: object) -> np.ndarray:
    x = _array(said, x)
    if x.dtype.kind in "iu" and x.dtype != np.uint8:
        raise ValueError(f"{said} must be uint8, float32 or float64, got {x.dtype}. Use .astype(np.uint8) if all are 0 to 255, "
                         f"else .astype(np.float32)")
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"{said} must have shape (N, H, W, C), or (N, H, W) for grey images, got {x.shape}")
    if x.shape[1] in (1, 3) and x.shape[3] > 4 and x.shape[2] > 4:
        raise ValueError(f"{said} of shape {x.shape} look channels-first: use .transpose(0, 2, 3, 1)")
    if x.dtype in (np.uint8, np.float32):
        return x
    with np.errstate(over="ignore"):
        small = x.astype(np.float32)
    if not np.isfinite(small).all():
        raise ValueError(f"{said} must fit float32, and the largest is {np.abs(x).max():.3g}. Scale them")
    return small


def _labels(said: str, y: object) -> np.ndarray:
    y = _array(said, y)
    if y.ndim != 1:
        do = ".argmax(1) if they are one-hot" if y.ndim == 2 and y.shape[1] > 1 else ".ravel() if there is one for each image"
        raise ValueError(f"{said} must have shape (N,), got {y.shape}. Use {do}")
    if y.dtype.kind == "f":
        raise ValueError(f"{said} must be integers, got {y.dtype}. Use .astype(np.int64)")
    if y.dtype.kind == "u" and y.size and int(y.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{said} must fit int64, got {y.max()} at position {int(y.argmax())}")
    if y.size and int(y.min()) < 0:
        raise ValueError(f"{said} must be at least 0, got {y.min()} at position {int(y.argmin())}")
    return y.astype(np.int64)
