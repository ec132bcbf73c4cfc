"""Thousands of damaged files of every kind: each is read right, or refused by a ValueError that names it; nothing else happens."""
from __future__ import annotations

import gzip
import io
import random
from collections.abc import Iterator

import numpy as np
import pytest

from tinygradconv.data import cifar
from tinygradconv.data.archive import members
from tinygradconv.data.idx import read_idx

from . import archives

COUNT = 1000
KIND = archives.small(cifar.CIFAR_10)
PLANES, LABELS = archives.planes_of(3, 0), [3, 1, 9]
VALUES = bytes(i % 251 for i in range(3 * 28 * 28))
IDX = b"\0\0\x08\x03\0\0\0\x03\0\0\0\x1c\0\0\0\x1c" + VALUES


def mutations(sound: bytes, count: int = COUNT, seed: int = 0, head: int = 200) -> Iterator[bytes]:
    """Copies with one to four changes, half of them among the first or last `head` bytes, where formats keep what they claim."""
    draw = random.Random(seed)
    for _ in range(count):
        data = bytearray(sound)
        for _ in range(draw.choice((1, 1, 2, 4))):
            at = draw.randrange(len(data) + 1)
            if draw.random() < 0.5:
                at = draw.choice((min(draw.randrange(head), len(data)), max(len(data) - draw.randrange(head), 0)))
            size = draw.choice((1, 1, 2, 4, 50))
            change = draw.randrange(5)
            if change == 0:
                data[at:at + size] = bytes(draw.randrange(256) for _ in data[at:at + size])
            elif change == 1:
                data[at:at + size] = draw.choice((b"\xff", b"\0", b"\x7f", b"]", b"(")) * len(data[at:at + size])
            elif change == 2:
                del data[at:at + size]
            elif change == 3:
                data[at:at] = data[max(0, at - size):at] or b"\0"
            else:
                del data[draw.randrange(len(data) + 1):]
        yield bytes(data)


def outcomes(read, files) -> int:
    """How many files were read; every other must have been refused by a ValueError that begins with its name."""
    good = 0
    for file in files:
        try:
            read(file)
        except ValueError as problem:
            assert type(problem) is ValueError and "spoilt" in str(problem) and len(str(problem)) < 700, problem
        else:
            good += 1
    return good


def test_mutated_idx_files(tmp_path):
    path = tmp_path / "spoilt.gz"

    def read(file):
        path.write_bytes(gzip.compress(file, 1))
        assert read_idx(path, (28, 28)).tobytes() == file[16:]                 # all that follows a sound header, and nothing else

    def read_zipped(file):
        path.write_bytes(file)
        assert read_idx(path, (28, 28)).tobytes() == VALUES
    assert 0 < outcomes(read, mutations(IDX)) < COUNT
    outcomes(read_zipped, mutations(gzip.compress(IDX, 1)))


def test_mutated_binary_files():
    def read(file):
        planes, labels = cifar.read_binary(file, "spoilt", 3, KIND)
        assert len(file) == 3 * 3073 and labels.tolist() == [file[0], file[3073], file[6146]] and labels.max() < 10
        assert planes.tobytes() == file[1:3073] + file[3074:6146] + file[6147:]
    assert 0 < outcomes(read, mutations(archives.binary(PLANES, [LABELS]), 2 * COUNT)) < 2 * COUNT


@pytest.mark.parametrize("write", [archives.python2, *(lambda x, y, p=p: archives.python3(x, y, p) for p in (2, 3, 4))],
                         ids=["python 2", "protocol 2", "protocol 3", "protocol 4"])
def test_mutated_pickles(write):
    def read(file):
        planes, labels = cifar.read_python(file, "spoilt", 3, KIND)
        assert planes.shape == (3, 3072) and planes.dtype == np.uint8 and labels.shape == (3,) and 0 <= labels.min() <= labels.max() < 10
        # The pixels are bytes of the file; protocol 2 of Python 3 has them as UTF-8.
        order = "C" if planes.flags.c_contiguous else "F"
        assert any(text in file for text in (planes.tobytes(order), planes.tobytes(order).decode("latin-1").encode()))
    sound = write(PLANES, {"labels": LABELS})
    assert 0 < outcomes(read, mutations(sound, 2 * COUNT)) < 2 * COUNT
    read(sound)


def test_mutated_archives(tmp_path):
    path = tmp_path / "spoilt.tar.gz"
    sound = archives.packed([("set/readme", b"x" * 700), ("set/a", VALUES), ("set/b", VALUES[::-1])])

    def read_zipped(file):
        path.write_bytes(file)
        assert dict(members(path, ("set/a", "set/b"), 100_000)) == {"set/a": VALUES, "set/b": VALUES[::-1]}

    def read(file):
        path.write_bytes(gzip.compress(file, 1))
        found = dict(members(path, ("set/a", "set/b"), 100_000))
        assert set(found) == {"set/a", "set/b"} and all(text in file for text in found.values())
    outcomes(read_zipped, mutations(sound))
    assert 0 < outcomes(read, mutations(gzip.decompress(sound), head=3000)) < COUNT
    assert [p.name for p in tmp_path.iterdir()] == ["spoilt.tar.gz"]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP"])
def test_mutated_images(tmp_path, form):
    Image = pytest.importorskip("PIL.Image")
    from tinygradconv.data.images import read_image
    made = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if form in ("PNG", "JPEG", "WEBP") else {}
    Image.fromarray(PLANES[:, :768].reshape(24, 32, 3)).save(made, form, **options)
    path = tmp_path / "spoilt.img"

    def read(file):
        path.write_bytes(file)
        got = read_image(path, 8, 8)
        assert got.shape == (8, 8, 3) and got.dtype == np.uint8
    read(made.getvalue())
    outcomes(read, mutations(made.getvalue(), COUNT))
