"""A record of the configurations that were compiled and kept every rule, so that while they stay as they were none is compiled.

One line for each: a digest of all that decides what it compiles to (cache.key) and of the rules it is held to, then the registers of a
thread and the bytes of shared memory that the compiler reported. It holds no machine code and so is small enough to be committed, where a
cache would start empty on every new machine. A change of a kernel, of a function that it calls, of a rule or of the compiler makes
another digest, and a digest that is not there is compiled.
"""
from __future__ import annotations

import hashlib
import inspect
from functools import cache as once

from tinygradconv.kernels.cuda.language import CudaKernel

from . import cache, report
from .report import Report

Record = dict[str, tuple[int, int]]                  # digest: (registers, bytes of static shared memory)


def digest(kernel: CudaKernel, architecture: str) -> str:
    """The name of a kernel's check for an architecture."""
    said = (cache.key(kernel, architecture), repr((kernel.shared, kernel.requires)), _rules())
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def found(record: Record, kernel: CudaKernel, architecture: str) -> Report | None:
    """What was reported of a kernel when it kept the rules; None where that is not recorded."""
    known = record.get(digest(kernel, architecture))
    return None if known is None else Report(known[0], 0, 0, 0, known[1])


def parsed(text: str, name: str) -> Record:
    """The record that a file of this name holds. ValueError, with the line, where it is none."""
    record = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if len(words) != 3 or len(words[0]) != 32 or not all(word.isdecimal() for word in words[1:]):
            raise ValueError(f"{name}, line {number}: a record of kernels has a digest, registers and bytes, here is {line[:80]!r}")
        record[words[0]] = int(words[1]), int(words[2])
    return record


def written(record: Record) -> str:
    """A record as text: sorted, so that a change of few kernels is a change of few lines."""
    return "".join(f"{name} {registers} {shared}\n" for name, (registers, shared) in sorted(record.items()))


@once
def _rules() -> str:
    return inspect.getsource(report)


__all__ = ["Record", "digest", "found", "parsed", "written"]
