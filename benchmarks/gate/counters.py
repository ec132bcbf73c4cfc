"""Exact counters of one work: allocations, tape nodes, bytes kept for backward, and the most bytes of the pool in use at once."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygradconv.backends import CPU
from tinygradconv.backends import cpu as cpu_module
from tinygradconv.spec.table import Ledger

from ..common import tape_nodes

if TYPE_CHECKING:
    from .works import Work

ALLOCATORS = ("empty", "empty_like", "zeros", "zeros_like", "ones", "full")     # NumPy's, as Python code calls them


@contextlib.contextmanager
def counted_allocations() -> Iterator[list[str]]:
    """Within the block, every array from the back end, the pool or NumPy's allocating functions adds its function's name to the list.

    One that calls another for it counts once. Arrays that NumPy makes for its own results (`a + b`) are not seen: the back end writes into
    arrays that it was handed.
    """
    calls: list[str] = []
    saved: list[tuple[Any, str, Any]] = []
    within = False

    def count(owner: Any, name: str) -> None:
        original = vars(owner)[name]
        function = original.__func__ if isinstance(original, staticmethod) else original

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal within
            if within:
                return function(*arguments, **options)
            calls.append(f"{owner.__name__}.{name}")
            within = True
            try:
                return function(*arguments, **options)
            finally:
                within = False
        saved.append((owner, name, original))
        setattr(owner, name, staticmethod(counted) if isinstance(original, staticmethod) else counted)

    count(cpu_module.CPUBackend, "empty")
    count(cpu_module.memory, "array")
    for name in ALLOCATORS:
        count(np, name)
    try:
        yield calls
    finally:
        for owner, name, original in saved:
            setattr(owner, name, original)


def counters_of(work: Work) -> dict[str, int]:
    """{counter: value}; a counter of the tape is there where the work records one."""
    with counted_allocations() as calls:
        work.call()
    result = {"allocations": len(calls)}
    in_use = CPU.memory_statistics(reset_peak=True)["in_use"]
    work.call()
    result["peak of the pool, bytes"] = CPU.memory_statistics()["peak"] - in_use
    if work.record is not None:
        y = work.record()
        result["tape nodes"] = tape_nodes(y)
        result["bytes kept"] = Ledger(work.leaves).add(y)
    return result
