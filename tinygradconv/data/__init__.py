"""Data sets by name: `get("digits")`, `get("mnist", root)`.

A data set is a frozen value; what it is made of stands in `dataset.py`, where each comes from in a file of its own, how
batches are drawn in `loader.py`. Each module is imported when its data set is first asked for.
"""
from __future__ import annotations

import importlib
import os
from pathlib import Path

from tinygradconv.settings import get as setting

from .dataset import DataSet, Split
from .loader import Loader

# name: (module, function); a function takes the root folder and returns a DataSet
DATA_SETS: dict[str, tuple[str, str]] = {
    "digits": ("digits", "digits"),
    "mnist": ("mnist", "mnist"),
    "fashion-mnist": ("mnist", "fashion_mnist"),
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


def get(name: str, root: str | os.PathLike | None = None) -> DataSet:
    """The data set of this name, read from `root` (see `root_folder`), downloaded into it where files are missing.

    ValueError: an unknown name, or a damaged file, which is named. FileNotFoundError: a file is missing and cannot be downloaded.
    """
    if name not in DATA_SETS:
        raise ValueError(f"there is no data set {name!r}; there are: {', '.join(DATA_SETS)}")
    module, function = DATA_SETS[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), function)(root_folder(root))


__all__ = ["DATA_SETS", "DataSet", "Loader", "Split", "get", "root_folder"]
