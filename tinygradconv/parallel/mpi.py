"""A group of ranks over MPI. Importing this module starts MPI (mpi4py does so): only where mpirun has started this process.

MPI moves a sum on only while somebody is inside one of its calls. There is no thread for that, which would take a core from the kernels
by waiting on it: `Sum.done()` tests, and buckets.py calls it with every gradient that is finished.
"""
from __future__ import annotations

import json
from typing import Any

import numpy as np
from mpi4py import MPI

from .group import Done, Group


class Sum(Done):
    """A sum over the ranks that is on its way."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def done(self) -> bool:
        """Whether the sum is there; asking makes it go on."""
        return self._request.Test()

    def wait(self) -> None:
        """Until the sum is there."""
        self._request.Wait()


class MPIGroup(Group):
    """All the processes that one mpirun started (MPI's world), or those of another communicator.

    Large sums are MPI's own (Iallreduce), in an order that MPI chooses: for two ranks there is only one, and for more its standard advises
    (5.9.1) to repeat it where size and placement of the ranks are the same. Small sums are added here, in the order of the ranks.
    """

    def __init__(self, communicator: Any = MPI.COMM_WORLD) -> None:
        self._small, self._large = communicator.Dup(), communicator.Dup()        # so that neither waits in the other's order
        self.rank, self.size = self._small.rank, self._small.size

    def sum(self, array: np.ndarray) -> None:
        """array ← Σ over the ranks, in their order."""
        total, *others = self.gather(array)
        for other in others:
            total += other
        array[...] = total

    def start_sum(self, array: np.ndarray) -> Sum:
        """Begin array ← Σ over the ranks."""
        return Sum(self._large.Iallreduce(MPI.IN_PLACE, array))

    def gather(self, array: np.ndarray) -> np.ndarray:
        """(size, *shape): the arrays of all ranks."""
        every = np.empty((self.size, *array.shape), array.dtype)
        self._small.Allgather(np.ascontiguousarray(array), every)
        return every

    def exchange(self, value: Any) -> list[Any]:
        """The values of all ranks, as JSON: bytes of one rank are never code to another, as they would be with pickle."""
        own = np.frombuffer(json.dumps(value).encode(), np.uint8)
        counts = self.gather(np.array([len(own)])).reshape(-1)
        every = np.empty(counts.sum(), np.uint8)
        self._small.Allgatherv(own, (every, counts))
        return [json.loads(piece.tobytes()) for piece in np.split(every, np.cumsum(counts)[:-1])]

    def broadcast(self, data: bytes) -> bytes:
        """The bytes of rank 0."""
        size = np.array([len(data)])
        self._small.Bcast(size)
        held = np.frombuffer(data, np.uint8).copy() if self.leads else np.empty(size[0], np.uint8)
        for start in range(0, len(held), 1 << 30):                         # a call's count is a C int in many an MPI
            self._small.Bcast(held[start:start + (1 << 30)])
        return held.tobytes()

    def largest(self, number: int) -> int:
        """The largest of all ranks' integers."""
        return int(self.gather(np.array([number])).max())

    def barrier(self) -> None:
        """Until every rank is here."""
        self._small.Barrier()

    def end(self, code: int) -> None:
        """End all ranks, now."""
        MPI.COMM_WORLD.Abort(code)
