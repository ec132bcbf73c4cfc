"""What ranks can do together, and one rank alone.

A *rank* is a process of a group, by its number; rank 0 leads: it writes the files and the log, and speaks. Every method but `end` is
called by all ranks, in the same order: the ones that wait would wait for ever for a rank that does not call.
"""
from __future__ import annotations

from typing import Any

import numpy as np


class Done:
    """A sum that is there already."""

    def done(self) -> bool:
        """Whether the sum is there; asking makes it go on."""
        return True

    def wait(self) -> None:
        """Until the sum is there."""


class Group:
    """One rank alone: rank 0 of 1. Sums are what they were, and nobody has to be waited for."""

    rank = 0
    size = 1
    device = "cpu"                # whose arrays `start_sum` takes, beside NumPy's

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def sum(self, array: np.ndarray) -> None:
        """array ← Σ over the ranks, in place, added in the order of the ranks: the same bits everywhere. For small arrays."""

    def start_sum(self, array: np.ndarray) -> Done:
        """Begin array ← Σ over the ranks, in place; contiguous, and left alone until `wait()` of what is returned. For large arrays."""
        return Done()

    def gather(self, array: np.ndarray) -> np.ndarray:
        """(size, *shape): the arrays of all ranks, which have one shape and dtype."""
        return array[None].copy()

    def exchange(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank: what JSON holds."""
        return [value]

    def broadcast(self, data: bytes) -> bytes:
        """The bytes of rank 0; the others' are not looked at."""
        return data

    def largest(self, number: int) -> int:
        """The largest of all ranks' integers."""
        return number

    def barrier(self) -> None:
        """Until every rank is here."""

    def end(self, code: int) -> None:
        """End all ranks, now, with this exit code, where one of them cannot go on. It does not return, but to a rank alone."""

    def share(self, count: int) -> tuple[int, int]:
        """(first, last + 1) of `count` things in a row that are this rank's; see `share_of`."""
        return share_of(count, self.rank, self.size)


def share_of(count: int, rank: int, size: int) -> tuple[int, int]:
    """(first, last + 1) of `count` things in a row that are rank's: ⌈count · rank / size⌉ to ⌈count · (rank + 1) / size⌉ − 1.

    The shares differ by one at most; rank 0 has one of the largest, so it never has none.

    >>> [share_of(7, rank, 3) for rank in range(3)]
    [(0, 3), (3, 5), (5, 7)]
    """
    return -(-count * rank // size), -(-count * (rank + 1) // size)
