"""A data set of image files: FOLDER/train/CLASS/… and FOLDER/val/CLASS/… (or test/), one folder for each class.

This is how ImageNet, Imagenette and most collections of photographs are kept; torchvision's ImageFolder reads the same.
"""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinygradconv.geometry import integer
from tinygradconv.settings import get as setting

from .dataset import DataSet, Split
from .images import FORMATS, need_pillow, read_image
from .statistics import mean_and_deviation

SIZE = 224                       # of ImageNet's networks
SHOWN = 20                       # file names in one message; the rest are counted


def image_folder(folder: Path, size: int | tuple[int, int] = SIZE, short_side: int | None = None) -> DataSet:
    """All images of a folder at `size` (one number, or height and width), (N, H, W, 3) uint8, cut out of the middle (see `read_image`).

    The classes are the names of the folders in train/, sorted; val/ (or test/) may lack some of them, and have no others. Hidden files and
    those with endings of no image are passed over. Mean and deviation are those of the training images.

    FileNotFoundError: no such folders, or no images in one. ValueError: damaged images, all of them named; classes that differ; what is no
    size. ImportError: Pillow is not installed.
    """
    height, width = (integer("size", n, at_least=1, where="image_folder") for n in (size if isinstance(size, tuple) else (size, size)))
    if short_side is not None:
        integer("short_side", short_side, at_least=max(height, width), where="image_folder")
    need_pillow(folder)
    parts = _parts(folder)
    classes = _classes(parts[0])
    strange = [name for name in _classes(parts[1]) if name not in classes]
    if strange:
        raise ValueError(f"{parts[1]} has folders that {parts[0]} lacks: {_listed(strange)}. A class must have images to learn from")
    files = [[(path, label) for label, name in enumerate(classes) for path in _images_in(part / name)] for part in parts]
    train, test = _read(files, height, width, short_side)
    return DataSet(folder.name, train, test, tuple(classes), *mean_and_deviation(train.images))


def _parts(folder: Path) -> tuple[Path, Path]:
    train, tests = folder / "train", [folder / name for name in ("val", "test") if (folder / name).is_dir()]
    if not train.is_dir() or not tests:
        raise FileNotFoundError(f"{folder} must hold train/ and val/ (or test/), each with one folder of images for each class. Move the "
                                f"folders of the classes into train/, and some images of each into val/")
    return train, tests[0]


def _classes(part: Path) -> list[str]:
    names = sorted(path.name for path in part.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise FileNotFoundError(f"{part} must hold one folder of images for each class, and holds no folder")
    empty = [name for name in names if not _images_in(part / name)]
    if empty:
        raise FileNotFoundError(f"{part}: there are no images in {_listed(empty)}. Images end in {', '.join(FORMATS)}; delete the folders")
    return names


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in FORMATS and not path.name.startswith(".") and path.is_file())


def _read(parts: list[list[tuple[Path, int]]], height: int, width: int, short_side: int | None) -> list[Split]:
    """The splits of these files; each file is read by one of the threads, into its own row."""
    images = [np.empty((len(files), height, width, 3), np.uint8) for files in parts]

    def read(part: int, at: int) -> str | None:
        try:
            images[part][at] = read_image(parts[part][at][0], height, width, short_side)
        except ValueError as problem:
            return str(problem)
        return None
    where = [(part, at) for part, files in enumerate(parts) for at in range(len(files))]
    with ThreadPoolExecutor(setting("threads")) as pool:          # decoding lets other threads run
        damaged = [said for said in pool.map(read, *zip(*where)) if said]
    if damaged:
        raise ValueError(f"{len(damaged)} of {len(where)} images cannot be read. Delete or replace:\n  " + "\n  ".join(damaged))
    return [Split(rows, np.array([label for _, label in files], np.int64)) for rows, files in zip(images, parts)]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
