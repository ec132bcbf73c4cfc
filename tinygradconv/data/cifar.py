"""CIFAR-10 and CIFAR-100, from their official archives or from the folders that these unpack to, in either form.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; https://www.cs.toronto.edu/~kriz/cifar.html says how the
files are laid out. Both forms hold the same bytes: an image is 3,072 of them, all of the red channel first, then green, then blue,
each row by row. Binary files put one label byte (CIFAR-100: the superclass, then the class) before each image; python files are pickled
dicts with all images of the file as one array, and the labels as lists.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .archive import AGAIN, members
from .dataset import DataSet, Split
from .fetch import Remote, fetch
from .unpickle import read_pickle

PIXELS = 3 * 32 * 32
ADDRESSES = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
SLACK = 1 << 16                                        # bytes that a file may have besides its images
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FINE = tuple("""
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar cattle
chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew
skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
tulip turtle wardrobe whale willow_tree wolf woman worm
""".split())


@dataclass(frozen=True)
class Form:
    """One official form of a set: the folder that its archive unpacks to, the archive, its size and MD5 sum, and the folder's files."""

    folder: str
    archive: str
    size: int
    md5: str
    train: tuple[str, ...]
    test: str


@dataclass(frozen=True)
class Cifar:
    """What the files of a set hold.

    labels           of each label of an image: its name in pickles, its number of classes; in the order of binary files, the class last
    mean, deviation  of the training images' bytes, by channel
    """

    name: str
    classes: tuple[str, ...]
    labels: tuple[tuple[str, int], ...]
    train_per_file: int
    test_per_file: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    binary: Form
    python: Form


CIFAR_10 = Cifar(
    "cifar-10", OBJECTS, (("labels", 10),), 10_000, 10_000, (125.3069, 122.9504, 113.8654), (62.9932, 62.0887, 66.7049),
    Form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", 170052171, "c32a1d4ab5d03f1284b67883e8d87530",
         tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
    Form("cifar-10-batches-py", "cifar-10-python.tar.gz", 170498071, "c58f30108f718f92721af3b95e74349a",
         tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch"))
CIFAR_100 = Cifar(
    "cifar-100", FINE, (("coarse_labels", 20), ("fine_labels", 100)), 50_000, 10_000,
    (129.3042, 124.0700, 112.4341), (68.1702, 65.3918, 70.4184),
    Form("cifar-100-binary", "cifar-100-binary.tar.gz", 168513733, "03b5dce01913d631647c71ecec9e9cb8", ("train.bin",), "test.bin"),
    Form("cifar-100-python", "cifar-100-python.tar.gz", 169001437, "eb9058c3a382ffc7106e4002c42a8d85", ("train",), "test"))

Parser = Callable[[bytes, str, int, Cifar], tuple[np.ndarray, np.ndarray]]


def read_binary(data: bytes, where: str, count: int, kind: Cifar) -> tuple[np.ndarray, np.ndarray]:
    """(planes (count, 3072) uint8, labels (count,) int64) of a binary file. ValueError begins with `where`."""
    width = len(kind.labels) + PIXELS
    if len(data) != count * width:
        said, got = ("is truncated", len(data)) if len(data) < count * width else ("is too long", "more")
        raise ValueError(f"{where} {said}: expected {count} records of {width} bytes, {count * width} in all, got {got}. {AGAIN}")
    records = np.frombuffer(data, np.uint8).reshape(count, width)
    for column, (said, classes) in enumerate(kind.labels):
        _check_labels(records[:, column], classes, f"{where}: {said}")
    return records[:, len(kind.labels):], records[:, len(kind.labels) - 1].astype(np.int64)


def read_python(data: bytes, where: str, count: int, kind: Cifar) -> tuple[np.ndarray, np.ndarray]:
    """(planes (count, 3072) uint8, labels (count,) int64) of a pickled file. ValueError begins with `where`; nothing pickled is run."""
    try:
        table = read_pickle(data, most_steps=16 * count + 1000)
    except ValueError as problem:
        raise ValueError(f"{where} is not a pickled table of images: {str(problem)[:200]}. {AGAIN}") from None
    planes = table.get("data")
    if not isinstance(planes, np.ndarray) or planes.shape != (count, PIXELS):
        got = f"shape {planes.shape}" if isinstance(planes, np.ndarray) else f"{type(planes).__name__} and the keys {[*table][:8]}"
        raise ValueError(f"{where}: 'data' must be an array of bytes of shape {(count, PIXELS)}, got {got}. {AGAIN}")
    for said, classes in kind.labels:
        values = table.get(said)
        if type(values) is not list or len(values) != count or not all(type(value) is int for value in values):
            got = f"a list of {len(values)}" if type(values) is list else type(values).__name__
            raise ValueError(f"{where}: {said!r} must be a list of {count} integers, got {got}. {AGAIN}")
        low, high = min(values), max(values)           # Python's own integers, which may be of any size
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            raise ValueError(f"{where}: {said} must be 0 to {classes - 1}, got {wrong} at position {values.index(wrong)}. {AGAIN}")
    return planes, np.array(table[kind.labels[-1][0]], np.int64)


def _check_labels(labels: np.ndarray, classes: int, said: str) -> None:
    if labels.max() >= classes:
        raise ValueError(f"{said} must be 0 to {classes - 1}, got {labels.max()} at position {int(labels.argmax())}. {AGAIN}")


def _find(root: Path, kind: Cifar) -> tuple[Form, Path]:
    """The form and the folder or archive to read: what lies in ROOT or ROOT/name, folders first; else the binary archive is downloaded."""
    forms, bases = (kind.binary, kind.python), (root, root / kind.name)
    found = [*((form, base / form.folder) for form in forms for base in bases if (base / form.folder).is_dir()),
             *((form, base / form.archive) for form in forms for base in bases if (base / form.archive).is_file())]
    if found:
        return found[0]
    return kind.binary, fetch(root, Remote(kind.name, ADDRESSES, {kind.binary.archive: (kind.binary.size, kind.binary.md5)}))[0]


def _files(place: Path, form: Form, most: dict[str, int]) -> Iterator[tuple[str, str, bytes]]:
    """(name, what to call it in a message, contents) of every file of a folder or an archive; of one, no more than `most` and a byte."""
    if not place.is_dir():
        wanted = {f"{form.folder}/{name}": name for name in most}
        for member, data in members(place, wanted, sum(most.values()) + (1 << 20)):
            yield wanted[member], f"{place}: {member}", data
        return
    missing = [name for name in most if not (place / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{place} lacks {', '.join(missing)}. Unpack {form.archive} there again, or delete the folder")
    for name, size in most.items():
        with open(place / name, "rb") as file:
            yield name, str(place / name), file.read(size + 1)


def _load(root: Path, kind: Cifar) -> DataSet:
    form, place = _find(root, kind)
    parse: Parser = read_python if form is kind.python else read_binary
    counts = dict.fromkeys(form.train, kind.train_per_file) | {form.test: kind.test_per_file}
    # A binary file has one size; a pickle has besides the images their names and labels, which official files keep under 64 bytes each.
    most = {name: count * (PIXELS + (len(kind.labels) if form is kind.binary else 64)) + SLACK * (form is kind.python)
            for name, count in counts.items()}
    images = {name: np.empty((count, 32, 32, 3), np.uint8) for name, count in counts.items()}
    labels: dict[str, np.ndarray] = {}
    for name, where, data in _files(place, form, most):
        planes, labels[name] = parse(data, where, counts[name], kind)
        images[name][...] = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    train = Split(np.concatenate([images.pop(name) for name in form.train]), np.concatenate([labels[name] for name in form.train]))
    return DataSet(kind.name, train, Split(images[form.test], labels[form.test]), kind.classes, kind.mean, kind.deviation)


def cifar10(root: Path) -> DataSet:
    """50,000 + 10,000 photographs of 10 kinds of things (32, 32, 3), uint8; ValueError or FileNotFoundError names what is wrong."""
    return _load(root, CIFAR_10)


def cifar100(root: Path) -> DataSet:
    """50,000 + 10,000 photographs of 100 kinds of things (32, 32, 3), uint8; ValueError or FileNotFoundError names what is wrong."""
    return _load(root, CIFAR_100)
