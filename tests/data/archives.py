"""Small CIFAR sets in all their forms, written here byte by byte as the authors' page describes them, and spoilt in every way."""
from __future__ import annotations

import dataclasses
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

from tinygradconv.data import cifar

TRAIN, TEST = 4, 3                                    # images per file, instead of thousands


def small(kind: cifar.Cifar) -> cifar.Cifar:
    return dataclasses.replace(kind, train_per_file=TRAIN, test_per_file=TEST)


def planes_of(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072)).astype(np.uint8)


def labels_of(kind: cifar.Cifar, count: int, seed: int) -> list[list[int]]:
    return [np.random.default_rng(seed + 100).integers(0, classes, count).tolist() for _, classes in kind.labels]


def binary(planes: np.ndarray, labels: list[list[int]]) -> bytes:
    return b"".join(bytes(column[i] for column in labels) + planes[i].tobytes() for i in range(len(planes)))


def python2(planes: np.ndarray, labels: dict[str, list[int]]) -> bytes:
    """The dict as Python 2 and the NumPy of 2009 wrote it, protocol 2: texts as str (U, T), the array by numpy.core.multiarray."""
    count = len(planes)
    array = (b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05U\x01bq\x06\x87q\x07Rq\x08"
             b"(K\x01K" + bytes([count]) + b"M\x00\x0c\x86q\x09cnumpy\ndtype\nq\x0aU\x02u1q\x0bK\x00K\x01\x87q\x0cRq\x0d"
             b"(K\x03U\x01|q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0fb\x89T"
             + struct.pack("<i", planes.size) + planes.tobytes() + b"tq\x10b")
    items = b"U\x04dataq\x02" + array
    for name, values in labels.items():
        items += b"U" + bytes([len(name)]) + name.encode() + b"](" + b"".join(b"K" + bytes([v]) for v in values) + b"e"
    names = b"".join(b"U\x05a.pngr" + struct.pack("<I", 1000 + i) for i in range(count))
    return b"\x80\x02}q\x01(" + items + b"U\x09filenames](" + names + b"eu."


def python3(planes: np.ndarray, labels: dict[str, list[int]], protocol: int) -> bytes:
    return pickle.dumps({"batch_label": "batch", "data": planes, **labels, "filenames": ["a.png"] * len(planes)}, protocol=protocol)


def files(kind: cifar.Cifar, form: cifar.Form, write=python2) -> dict[str, bytes]:
    """Name and contents of every file of a small set; the images of file i are planes_of(…, i)."""
    made = {}
    for i, name in enumerate([*form.train, form.test]):
        planes = planes_of(TEST if name == form.test else TRAIN, i)
        labels = labels_of(kind, len(planes), i)
        made[name] = binary(planes, labels) if form is kind.binary else write(planes, dict(zip([n for n, _ in kind.labels], labels)))
    return made


def packed(members: list[tuple[str | tarfile.TarInfo, bytes]]) -> bytes:
    """A .tar.gz with these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            if isinstance(name, str):
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def archive(kind: cifar.Cifar, form: cifar.Form, made: dict[str, bytes] | None = None) -> bytes:
    folder = tarfile.TarInfo(form.folder)
    folder.type = tarfile.DIRTYPE
    made = files(kind, form) if made is None else made
    return packed([(folder, b""), (f"{form.folder}/readme.html", b"<html>"),
                   *((f"{form.folder}/{name}", data) for name, data in made.items())])


def unpack(root: Path, form: cifar.Form, made: dict[str, bytes]) -> None:
    (root / form.folder).mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (root / form.folder / name).write_bytes(data)
