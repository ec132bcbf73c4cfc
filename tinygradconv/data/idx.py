"""The idx format of MNIST: a magic number, the sizes, the bytes; here always inside gzip.

    0x00 0x00  dtype (0x08: unsigned byte)  number of axes  |  one big-endian uint32 per axis  |  values, last axis fastest

(LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist.) A file is not to be trusted: what its header claims is
compared with what is expected before anything is allocated, memory grows only as data really arrives, and the file must
end where the values do.
"""
from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod
from typing import BinaryIO

import numpy as np

DTYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
MOST_BYTES = 1 << 30          # a header that claims more is a mistake or an attack
CHUNK = 1 << 20


def _read(file: BinaryIO, size: int) -> bytearray:
    """Up to `size` bytes; fewer only where the file ends."""
    data = bytearray()
    while len(data) < size and (piece := file.read(min(CHUNK, size - len(data)))):
        data += piece
    return data


def _parse(path: str, file: BinaryIO, shape: tuple[int, ...]) -> np.ndarray:
    """The array in an open idx file of len(shape) + 1 axes: any number of items, each of this shape."""
    axes = len(shape) + 1
    header = _read(file, 4 + 4 * axes)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in DTYPES:
        raise ValueError(f"{path} is not an idx file: "
                         f"it must begin with 00 00 08 {axes:02x}, got {bytes(header[:4]).hex(' ') or 'nothing'}")
    if header[2] != 0x08:
        raise ValueError(f"{path}: values must be unsigned bytes (type 08), got {DTYPES[header[2]]} (type {header[2]:02x})")
    if header[3] != axes:
        raise ValueError(f"{path}: expected {axes} axes, got {header[3]}"
                         + (". Are images and labels exchanged?" if header[3] in (1, 3) else ""))
    if len(header) < 4 + 4 * axes:
        raise ValueError(f"{path} is truncated: the header has {4 + 4 * axes} bytes, the file {len(header)}")
    count, *sizes = struct.unpack(f">{axes}I", header[4:])
    if tuple(sizes) != shape:
        raise ValueError(f"{path}: each item must have shape {shape}, got {tuple(sizes)}")
    claimed = count * prod(shape)
    if not 0 < claimed <= MOST_BYTES:
        raise ValueError(f"{path}: the header claims {count} items, {claimed} bytes; expected 1 to {MOST_BYTES} bytes")
    data = _read(file, claimed + 1)                # one byte more, to see whether the file goes on
    if len(data) < claimed:
        raise ValueError(f"{path} is truncated: the header claims {claimed} bytes of values, the file has {len(data)}")
    if len(data) > claimed:
        raise ValueError(f"{path} has bytes after its last value: the header claims {count} items, {claimed} bytes")
    return np.frombuffer(data, np.uint8).reshape(count, *shape)


def read_idx(path: str | os.PathLike, shape: tuple[int, ...] = ()) -> np.ndarray:
    """The array (count, *shape), uint8, of an idx.gz file: shape (28, 28) for MNIST's images, () for labels.

    ValueError names the file and says what is wrong: not gzip, corrupt, not idx, another dtype or shape, truncated, too long.
    """
    try:
        with gzip.open(path, "rb") as file:
            return _parse(str(path), file, shape)
    except EOFError:
        raise ValueError(f"{path} is truncated: the compressed data end too early. Delete the file and fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as problem:
        raise ValueError(f"{path} is not a sound gzip file ({problem}). Delete the file and fetch it again") from None
