"""Data sets by name: `get("digits")`, `get("cifar-10", root)`, `get("imagenette@64")` for a folder of images; or `from_arrays(…)`.

A data set is a frozen value; what it is made of stands in `dataset.py`, where each comes from in a file of its own, how
batches are drawn in `loader.py`, and how a GPU makes them in `device.py`. Each module is imported when its data set is first asked for.
"""
from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

from tinygradconv.settings import get as setting

from .arrays import from_arrays
from .dataset import DataSet, Split
from .device import DeviceLoader
from .loader import Loader

# name: (module, function); a function takes the root folder and returns a DataSet
DATA_SETS: dict[str, tuple[str, str]] = {
    "digits": ("digits", "digits"),
    "mnist": ("mnist", "mnist"),
    "fashion-mnist": ("mnist", "fashion_mnist"),
    "cifar-10": ("cifar", "cifar10"),
    "cifar-100": ("cifar", "cifar100"),
}


def root_folder(root: str | os.PathLike | None = None) -> Path:
    """The folder that holds mnist/, fashion-mnist/, …: `root`, else the setting `data` (TGC_DATA), else a cache folder.

    The cache folder is $XDG_CACHE_HOME/tinygradconv, or ~/.cache/tinygradconv where that variable is not set.
    """
    if root is not None and not str(root):
        raise ValueError("the folder of the data sets is an empty name; leave it out for the default, or name a folder")
    chosen = root if root is not None else setting("data")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygradconv"


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name.lower())


def _folder(name: str, root: str | os.PathLike | None) -> tuple[Path | None, dict[str, tuple[int, int]]]:
    """The folder of images that a name means, in the root folder or where its path leads, and the size that stands after its @."""
    text, height, width = re.fullmatch(r"(.*?)(?:@(\d{1,5})(?:x(\d{1,5}))?)?", name, re.DOTALL).groups()
    options = {"size": (int(height), int(width or height))} if height else {}
    places = [root_folder(root) / text, Path(text).expanduser()] if text and "\0" not in text else []
    return next((place for place in places if place.is_dir()), None), options


def name_of(name: str, root: str | os.PathLike | None = None) -> str:
    """The name by which `get` finds the same data set again: "cifar-10" of "CIFAR10", and the whole path of a folder outside `root`.

    ValueError: there is no such data set.
    """
    known = {_plain(key): key for key in DATA_SETS}
    if isinstance(name, str) and _plain(name) in known:
        return known[_plain(name)]
    folder, options = _folder(name, root) if isinstance(name, str) else (None, {})
    if folder is None:
        raise ValueError(f"there is no data set {name!r}, nor a folder of images of this name; there are: {', '.join(DATA_SETS)}")
    if folder.parent == root_folder(root):
        return name
    return str(folder.resolve()) + (f"@{options['size'][0]}x{options['size'][1]}" if options else "")


def get(name: str, root: str | os.PathLike | None = None) -> DataSet:
    """The data set of this name, read from `root` (see `root_folder`), downloaded into it where files are missing.

    A name that is none of `DATA_SETS` is a folder of images (see folder.py), in `root` or wherever its path leads; "NAME@64" has its
    images at 64×64, "NAME@48x64" at 48 rows of 64 pixels, without it they are 224×224.

    ValueError: an unknown name, or a damaged file, which is named. FileNotFoundError: a file is missing and cannot be downloaded.
    """
    name = name_of(name, root)
    if name in DATA_SETS:
        module, function = DATA_SETS[name]
        return getattr(importlib.import_module(f"{__name__}.{module}"), function)(root_folder(root))
    folder, options = _folder(name, root)
    return importlib.import_module(f"{__name__}.folder").image_folder(folder, **options)


__all__ = ["DATA_SETS", "DataSet", "DeviceLoader", "Loader", "Split", "from_arrays", "get", "name_of", "root_folder"]
