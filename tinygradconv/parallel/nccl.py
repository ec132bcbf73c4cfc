"""A group of ranks that have a GPU each: gradients are added by NCCL, from GPU to GPU; all else goes by the group that MPI made of them.

    with parallel.ranks() as host:
        group = with_gpus(host)                            # before anything asks for a GPU

A sum runs on a stream of its own. It begins once what was computed before it is there, and goes on beside what is computed after it, as
large sums over MPI do on the CPU (buckets.py); `wait()` makes the GPU wait for it, and the host goes on at once.

NCCL is reached by nccl4py, NVIDIA's own bindings, which are imported when a group is made. This is tested with stand-ins for NCCL and for
the driver (tests/parallel/test_nccl.py, test_gpus.py). It has not run on GPUs.
"""
from __future__ import annotations

import importlib
import os
import socket
from typing import Any

import numpy as np

from tinygradconv.backends import backend_named

from .group import Done, Group

INSTALL = "pip install 'tinygradconv[nccl]'"


class NCCLGroup(Group):
    """The ranks of `host`, a group that has no GPUs, each with the GPU of its CUDA back end.

    `start_sum` takes arrays on the GPU by NCCL; in which order it adds is NCCL's choice, the same for the same GPUs and sizes, and all
    ranks get the same bits. Everything else, being small or on the host, is what `host` does; a small array on the GPU goes by way of the
    host. ImportError: nccl4py or NCCL is missing.
    """

    device = "cuda"

    def __init__(self, host: Group, backend: Any) -> None:
        self.rank, self.size = host.rank, host.size
        self._host, self._backend, self._driver = host, backend, backend.driver
        backend.synchronize()                                     # NCCL takes the GPU that is current in this thread: the driver's, by now
        nccl = _bindings()
        name = host.broadcast(bytes(nccl.get_unique_id()) if host.leads else b"")
        self._ranks = nccl.Communicator.init(nranks=host.size, rank=host.rank, unique_id=nccl.UniqueId.from_bytes(name))
        self._add, self._stream = nccl.SUM, self._driver.stream()
        self._marks: list[Any] = []                               # that nobody waits for any more

    def start_sum(self, array: Any) -> Done:
        """Begin array ← Σ over the ranks, in place, after what was computed so far and beside what will be."""
        if isinstance(array, np.ndarray):
            return self._host.start_sum(array)
        driver = self._driver
        mark = self._marks.pop() if self._marks else driver.event()
        driver.record(mark, driver.compute)
        driver.wait(self._stream, mark)
        memory = _Memory(array)
        self._ranks.allreduce(memory, memory, self._add, stream=int(self._stream))
        driver.record(mark, self._stream)
        return _Sum(driver, mark, self._marks)

    def sum(self, array: Any) -> None:
        """array ← Σ over the ranks, in their order; one on the GPU is added on the host."""
        if isinstance(array, np.ndarray):
            self._host.sum(array)
            return
        values = self._backend.to_numpy(array)
        self._host.sum(values)
        self._backend.assign(array, values)

    def gather(self, array: Any) -> Any:
        """(size, *shape): the arrays of all ranks, where this rank's is."""
        if isinstance(array, np.ndarray):
            return self._host.gather(array)
        return self._backend.asarray(self._host.gather(self._backend.to_numpy(array)))

    def exchange(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank: what JSON holds."""
        return self._host.exchange(value)

    def broadcast(self, data: bytes) -> bytes:
        """The bytes of rank 0."""
        return self._host.broadcast(data)

    def largest(self, number: int) -> int:
        """The largest of all ranks' integers."""
        return self._host.largest(number)

    def barrier(self) -> None:
        """Until every rank is here; what their GPUs were given may still run."""
        self._host.barrier()

    def end(self, code: int) -> None:
        """End all ranks, now."""
        self._host.end(code)


class _Sum(Done):
    """A sum on its way from GPU to GPU."""

    def __init__(self, driver: Any, mark: Any, marks: list[Any]) -> None:
        self._driver, self._mark, self._marks = driver, mark, marks

    def done(self) -> bool:
        """Whether `wait` was called; NCCL needs nobody to make it go on."""
        return self._mark is None

    def wait(self) -> None:
        """What the GPU computes from now on starts after the sum; the host goes on."""
        if self._mark is not None:
            self._driver.wait(self._driver.compute, self._mark)
            self._marks.append(self._mark)                        # that wait stands, whatever the mark is set to later
            self._mark = None


class _Memory:
    """An array on the GPU as other libraries read it, without a word on streams: their order is kept here."""

    def __init__(self, array: Any) -> None:
        self.array = array                                        # keeps it alive
        self.__cuda_array_interface__ = {"shape": array.shape, "typestr": array.dtype.str, "data": (array.pointer, False), "version": 3}


def with_gpus(host: Group) -> Group:
    """The ranks of `host`, each with a GPU of its own; one alone as it is. Before anything asks for a GPU.

    ValueError, on every rank: one has no GPU. ImportError: nccl4py or NCCL is missing.
    """
    if host.size == 1:
        return host
    taken, problem = take_gpu(host), ""
    try:
        backend_named("cuda")
    except (RuntimeError, ImportError) as why:
        problem = f"GPU {taken} of {socket.gethostname()}: {why}"
    for rank, other in enumerate(host.exchange(problem)):
        if other:
            raise ValueError(f"rank {rank} of {host.size} cannot have {other}. Start as many ranks on a machine as it has GPUs")
    return NCCLGroup(host, backend_named("cuda"))


def take_gpu(group: Group) -> str:
    """Let this process see one GPU, its own; the value that CUDA_VISIBLE_DEVICES has from now on. Before anything asks for a GPU.

    The ranks of a machine take those that it may see in their order. ValueError: the variable names fewer than there are ranks.
    """
    machines = group.exchange(socket.gethostname())
    number, visible = machines[:group.rank].count(machines[group.rank]), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = list(map(str, range(group.size))) if visible is None else visible.split(",")
    if number >= len(names):
        raise ValueError(f"rank {group.rank} of {group.size} is number {number} on its machine, counted from 0, but CUDA_VISIBLE_DEVICES, "
                         f"{visible!r}, shows it {len(names)}. Start as many ranks on a machine as it has GPUs")
    os.environ["CUDA_VISIBLE_DEVICES"] = names[number]
    return names[number]


def _bindings() -> Any:
    try:
        nccl = importlib.import_module("nccl.core")
        missing = "there is no libnccl.so.2" if nccl.get_version().libnccl is None else ""
    except (ImportError, RuntimeError) as problem:
        missing = " ".join(str(problem).split(":")[0].split())
    if missing:
        raise ImportError(f"ranks with GPUs add their gradients by NCCL, which cannot be used ({missing}): {INSTALL}")
    return nccl
