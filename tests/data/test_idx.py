"""The idx reader against files written here by hand, byte by byte, and against every way to spoil one."""
from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.data.idx import read_idx


def idx(header: bytes, sizes: tuple[int, ...], values: bytes) -> bytes:
    return header + struct.pack(f">{len(sizes)}I", *sizes) + values


IMAGES = bytes(i % 251 for i in range(3 * 28 * 28))
SOUND = idx(b"\0\0\x08\x03", (3, 28, 28), IMAGES)


@pytest.fixture
def read(tmp_path):
    """Read these bytes, gzipped or as they are, as a file of images."""
    def reader(data: bytes, shape=(28, 28), *, zipped=True):
        path = tmp_path / "train-images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(data, mtime=0) if zipped else data)
        return read_idx(path, shape)
    return reader


def test_the_values_come_in_order(read):
    x = read(SOUND)
    assert x.dtype == np.uint8 and x.shape == (3, 28, 28)
    assert [x[n, i, j] for n, i, j in ((0, 0, 1), (1, 0, 0), (2, 27, 27))] == [1, 784 % 251, (3 * 784 - 1) % 251]
    assert read(idx(b"\0\0\x08\x01", (4,), b"\7\0\3\1"), ()).tolist() == [7, 0, 3, 1]


@pytest.mark.parametrize(("data", "said"), [
    (b"", "not an idx file: it must begin with 00 00 08 03, got nothing"),
    (b"\0\0", "not an idx file"),
    (b"\x89PNG\r\n\x1a\n", "not an idx file: it must begin with 00 00 08 03, got 89 50 4e 47"),
    (idx(b"\0\0\x0d\x03", (3, 28, 28), bytes(4 * len(IMAGES))), r"values must be unsigned bytes \(type 08\), got float32 \(type 0d\)"),
    (idx(b"\0\0\x07\x03", (3, 28, 28), IMAGES), "not an idx file"),
    (idx(b"\0\0\x08\x01", (3,), b"\0\1\2"), "expected 3 axes, got 1. Are images and labels exchanged?"),
    (SOUND[:10], "truncated: the header has 16 bytes, the file 10"),
    (idx(b"\0\0\x08\x03", (3, 32, 28), IMAGES), r"each item must have shape \(28, 28\), got \(32, 28\)"),
    (SOUND[:-1], "truncated: the header claims 2352 bytes of values, the file has 2351"),
    (SOUND + b"\0", "bytes after its last value: the header claims 3 items"),
    (idx(b"\0\0\x08\x03", (0, 28, 28), b""), "the header claims 0 items"),
    (idx(b"\0\0\x08\x03", (2**32 - 1, 28, 28), IMAGES), "the header claims 4294967295 items"),
    (idx(b"\0\0\x08\x03", (2**32 - 1, 2**32 - 1, 2**32 - 1), IMAGES), "each item must have shape"),
])
def test_a_spoilt_file_is_named_with_what_is_wrong(read, data, said):
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz.*" + said):
        read(data)


def test_a_spoilt_gzip_file_is_named(read):
    whole = gzip.compress(SOUND, mtime=0)
    with pytest.raises(ValueError, match=r"train-images.* is not a sound gzip file"):
        read(SOUND, zipped=False)
    with pytest.raises(ValueError, match=r"train-images.* is truncated: the compressed data end too early"):
        read(whole[:-20], zipped=False)
    wrong_sum = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    with pytest.raises(ValueError, match=r"train-images.* is not a sound gzip file \(CRC check failed"):
        read(wrong_sum, zipped=False)
    with pytest.raises(ValueError, match=r"train-images.* is not a sound gzip file"):
        read(whole + b"garbage", zipped=False)


def test_a_header_that_claims_a_gigabyte_allocates_nothing_like_it(read):
    import tracemalloc
    claim = idx(b"\0\0\x08\x03", (1_000_000, 28, 28), bytes(1000))
    tracemalloc.start()
    with pytest.raises(ValueError, match="truncated: the header claims 784000000 bytes of values, the file has 1000"):
        read(claim)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@given(st.data())
def test_no_mutation_is_read_as_something_else_than_it_says(data):
    """Flip a byte, cut or add some, in the compressed file: the images come out as they were, or a ValueError."""
    import tempfile
    from pathlib import Path
    whole = bytearray(gzip.compress(SOUND, mtime=0))
    kind = data.draw(st.sampled_from(["flip", "cut", "add"]))
    if kind == "flip":
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del whole[data.draw(st.integers(0, len(whole) - 1)):]
    else:
        whole += data.draw(st.binary(min_size=1, max_size=20))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.gz"
        path.write_bytes(whole)
        try:
            x = read_idx(path, (28, 28))
        except ValueError as problem:
            assert "images.gz" in str(problem)
        else:
            assert x.tobytes() == IMAGES               # a byte of gzip's own header (time, name, system) says nothing about the values
