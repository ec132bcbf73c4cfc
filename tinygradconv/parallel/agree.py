"""Whether all ranks are at the same thing, and have the same weights."""
from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .group import Group


def check_equal(group: Group, **values: Any) -> None:
    """ValueError, on every rank, where a value (of what JSON holds) is not the same on all: it says which, and what the ranks have."""
    every = group.exchange(values)
    for name in values:
        for rank, other in enumerate(every):
            if other[name] != every[0][name]:
                here, there = _apart(every[0][name], other[name])
                raise ValueError(f"the ranks do not agree on {name}: rank 0 has {here}, rank {rank} has {there}. "
                                 f"Start all of them by one mpirun, with the same command and the same installation")


def _apart(here: Any, there: Any) -> tuple[Any, Any]:
    """The parts of two values in which they differ."""
    if isinstance(here, dict) and isinstance(there, dict):
        keys = [key for key in {**here, **there} if here.get(key) != there.get(key)]
        return {key: here.get(key) for key in keys}, {key: there.get(key) for key in keys}
    return here, there


def checksum(arrays: Mapping[str, np.ndarray]) -> int:
    """The CRC-32 of arrays by name."""
    crc = 0
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]), zlib.crc32(name.encode(), crc))
    return crc
