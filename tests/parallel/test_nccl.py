"""Sums from GPU to GPU, with stand-ins: NCCL is a sum in the host's memory, put on the stream that it is given; the driver is the stub.

The stub does what a stream was given at the last moment that streams and marks allow, so a sum that begins before what it adds has been
computed, or is read before it has ended, shows as wrong numbers. What this cannot show is NCCL itself.
"""
from __future__ import annotations

import ctypes
import sys
import types
from collections import deque

import numpy as np
import pytest

from tests.cuda.emulated import DefinedBackend, HostMemory
from tests.parallel.threads import ThreadGroup, together
from tinygradconv import Tensor, backends
from tinygradconv.backends.cuda.backend import CUDABackend
from tinygradconv.parallel import Buckets, Group, nccl

SUMS = 77                                                               # the address of the stream of sums


class Memory(HostMemory):
    """The stub with a third stream."""

    def stream(self):
        self.streams[SUMS] = deque()
        return SUMS


class Backend(DefinedBackend):
    """Kernels are their definitions, in memory of the host."""

    def __init__(self):
        CUDABackend.__init__(self, Memory())
        self.ran = []


def view(memory):
    """The NumPy array that a CUDA array interface describes."""
    said = memory.__cuda_array_interface__
    assert said["version"] == 3 and said["data"][1] is False and "strides" not in said
    dtype = np.dtype(said["typestr"])
    count = int(np.prod(said["shape"]))
    return np.ndarray(said["shape"], dtype, (ctypes.c_char * (count * dtype.itemsize)).from_address(said["data"][0]))


class Pair(Group):
    """Rank 0 of two, the other of which always has the same."""

    size = 2


def double(array):
    """What the sum over a Pair is."""
    array *= 2


@pytest.fixture
def stand_in(monkeypatch):
    """nccl.core, whose communicators add by `adds[rank](array)` once the stream of `drivers[rank]` has come so far."""
    fake = types.ModuleType("nccl.core")
    fake.SUM, fake.libnccl, fake.adds, fake.drivers, fake.made = "sum", "2.32", {}, {}, []

    class UniqueId(bytes):
        @staticmethod
        def from_bytes(name):
            return UniqueId(name)

    class Communicator:
        @classmethod
        def init(cls, *, nranks, rank, unique_id):
            made = cls()
            made.rank = rank
            fake.made.append((nranks, rank, bytes(unique_id)))
            return made

        def allreduce(self, sendbuf, recvbuf, op, *, stream):
            driver = fake.drivers[self.rank]
            assert sendbuf is recvbuf and op == "sum" and stream == SUMS
            driver.streams[SUMS].append(lambda: fake.adds[self.rank](view(recvbuf)))

    fake.UniqueId, fake.Communicator = UniqueId, Communicator
    fake.get_unique_id = lambda: UniqueId(b"the name of rank 0's group")
    fake.get_version = lambda: types.SimpleNamespace(libnccl=fake.libnccl)
    monkeypatch.setitem(sys.modules, "nccl", types.ModuleType("nccl"))
    monkeypatch.setitem(sys.modules, "nccl.core", fake)
    return fake


def ranks_with_gpus(fake, size, work):
    """[work(group, backend) of each rank]: the ranks are threads, each with a GPU of its own."""
    groups = together(size, lambda group: group)
    board = groups[0]._board, groups[0]._barrier
    sums = [ThreadGroup(rank, size, [None] * size, type(board[1])(size, timeout=60)) for rank in range(size)]
    for group in sums:
        group._board, group._barrier = sums[0]._board, sums[0]._barrier

    def run(host):
        backend = Backend()
        fake.drivers[host.rank], fake.adds[host.rank] = backend.driver, sums[host.rank].sum
        return work(nccl.NCCLGroup(host, backend), backend)
    return together(size, run)


@pytest.mark.parametrize("size", [2, 3])
def test_sums_are_those_of_the_ranks_after_what_was_computed_before_and_beside_what_is_computed_after(stand_in, size):
    values = [np.random.default_rng(rank).normal(size=(4, 2, 5)).astype(np.float32) for rank in range(size)]

    def work(group, backend):
        arrays = [backend.asarray(a) for a in values[group.rank]]
        under_way = [group.start_sum(array) for array in arrays[:3]]
        beside = backend.asarray(np.zeros((2, 5), np.float32))
        backend.run("copy", arrays[3], beside)
        assert not any(pending.done() for pending in under_way)
        for pending in under_way:
            pending.wait()
        assert all(pending.done() for pending in under_way)
        group.start_sum(arrays[3]).wait()                             # its mark is one that was used before
        np.testing.assert_array_equal(backend.to_numpy(beside), values[group.rank][3])
        return [backend.to_numpy(array) for array in arrays]
    for found in ranks_with_gpus(stand_in, size, work):
        for i in range(4):
            total = values[0][i].copy()
            for other in values[1:]:
                total += other[i]
            np.testing.assert_array_equal(found[i], total)
    assert sorted(stand_in.made) == [(size, rank, b"the name of rank 0's group") for rank in range(size)]


@pytest.mark.parametrize(("forgotten", "first", "expected"), [(None, True, 4.0), (None, False, 4.0), ("sums", True, 2.0),
                                                               ("compute", False, 2.0)])
def test_a_sum_waits_for_what_it_adds_and_is_waited_for(stand_in, forgotten, first, expected):
    """Where one of the two streams does not wait for the other, which the last two rows plant, the result is what was there before."""
    backend = Backend()
    driver, wait = backend.driver, backend.driver.wait
    stand_in.drivers[0], stand_in.adds[0] = driver, double
    group, array = nccl.NCCLGroup(Pair(), backend), backend.asarray(np.zeros(3, np.float32))
    backend.synchronize()
    deaf = {"sums": SUMS, "compute": driver.compute}.get(forgotten)
    driver.wait = lambda stream, mark: None if stream == deaf else wait(stream, mark)
    driver.fill_words(array.pointer, 0x40000000, 3)                    # 2.0
    pending = group.start_sum(array)
    if first:
        driver.finish(pending._mark)                                   # the GPU comes to the end of the sum before anything else is asked
    pending.wait()
    driver.wait = wait
    assert backend.to_numpy(array).tolist() == [expected] * 3


def test_what_is_small_or_on_the_host_goes_by_the_group_that_has_no_gpus(stand_in):
    def work(group, backend):
        own = np.full(3, float(group.rank + 1))
        on_gpu = backend.asarray(own)
        group.sum(on_gpu)
        gathered = group.gather(backend.asarray(own))
        group.start_sum(own).wait()
        assert type(gathered) is type(on_gpu) and gathered.shape == (2, 3)
        group.barrier()
        return (backend.to_numpy(on_gpu).tolist(), backend.to_numpy(gathered).tolist(), own.tolist(), group.exchange(group.rank),
                group.broadcast(bytes([group.rank])), group.largest(group.rank), group.leads, group.share(5))
    first, second = ranks_with_gpus(stand_in, 2, work)
    assert first == ([3.0] * 3, [[1.0] * 3, [2.0] * 3], [3.0] * 3, [0, 1], b"\0", 1, True, (0, 3))
    assert second[:-2] == first[:-2] and second[-2:] == (False, (3, 5))


def test_buckets_on_the_gpu_hold_the_sums(stand_in, monkeypatch):
    """Rank 1 has rank 0's gradients too, so with the share ½ the sums are one rank's gradients, which are known on the CPU."""
    backend = Backend()
    monkeypatch.setitem(backends._made, "cuda", backend)
    stand_in.drivers[0], stand_in.adds[0] = backend.driver, double
    rng = np.random.default_rng(0)
    host = [Tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True) for shape in ((3, 4), (4,), (4, 2))]
    x = Tensor(rng.normal(size=(5, 3)).astype(np.float32))

    def loss(x, a, b, c):
        return (((x @ a + b) @ c) ** 2).mean()
    expected = Buckets(Group()).grad(loss(x, *host), host)
    leaves = [p.detach().to("cuda").requires_grad_() for p in host]
    buckets = Buckets(nccl.NCCLGroup(Pair(), backend), 32)
    for _ in range(2):                                                # the order is found in the first, and used in the second
        found = buckets.grad(loss(x.to("cuda"), *leaves), leaves, 0.5)
        for g, e in zip(found, expected):
            assert g.device == "cuda"
            np.testing.assert_allclose(g.to("cpu").numpy(), e.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("visible", "taken"), [(None, ["0", "1", "0"]), ("4,5", ["4", "5", "4"]), ("GPU-a,9,8", ["GPU-a", "9", "GPU-a"])])
def test_ranks_of_a_machine_take_its_gpus_in_their_order(monkeypatch, visible, taken):
    class Rank(Group):
        size = 3

        def __init__(self, rank):
            self.rank = rank

        def exchange(self, value):
            return ["first", "first", "second"]
    found = []
    for rank in range(3):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        found.append(nccl.take_gpu(Rank(rank)))
        assert nccl.os.environ["CUDA_VISIBLE_DEVICES"] == found[-1]
    assert found == taken
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    said = r"^rank 1 of 3 is number 1 on its machine, counted from 0, but CUDA_VISIBLE_DEVICES, '0', shows it 1\."
    with pytest.raises(ValueError, match=said):
        nccl.take_gpu(Rank(1))


def test_what_is_missing_is_said(stand_in, monkeypatch):
    said = r"^ranks with GPUs add their gradients by NCCL, which cannot be used \({}.*\): pip install 'tinygradconv\[nccl\]'$"
    stand_in.libnccl = None
    with pytest.raises(ImportError, match=said.format("there is no libnccl")):
        nccl.NCCLGroup(Group(), Backend())
    monkeypatch.setitem(sys.modules, "nccl.core", None)
    with pytest.raises(ImportError, match=said.format("import of nccl.core halted")):
        nccl.NCCLGroup(Group(), Backend())
