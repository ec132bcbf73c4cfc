"""NCCL itself: one rank on one GPU, and where there are two GPUs, two ranks that train as one process on the CPU does."""
from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from tests.parallel.test_mpi import MPIRUN, mpirun
from tinygradconv import Tensor
from tinygradconv.backends import backend_named
from tinygradconv.parallel import Buckets, Group, nccl

from . import ranks

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized"),
              pytest.mark.skipif(importlib.util.find_spec("nccl") is None, reason="needs nccl4py: pip install '.[nccl]'")]


def gpus():
    """How many this process sees."""
    from cuda.bindings import driver
    return driver.cuDeviceGetCount()[1]


class Alone(Group):
    """One rank that sums all the same: a communicator of one."""

    def broadcast(self, data):
        return data


def test_a_sum_of_one_rank_is_what_it_was_and_stands_in_the_order_of_the_streams():
    backend = backend_named("cuda")
    group, values = nccl.NCCLGroup(Alone(), backend), np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32)
    x = Tensor(values).to("cuda")
    for _ in range(3):
        y = x * 2.0
        pending = group.start_sum(y.data)
        beside = x + 1.0
        pending.wait()
        z = y + 0.0
        assert np.array_equal(z.numpy(), values * 2) and np.array_equal(beside.numpy(), values + 1)
    leaf = x.detach().requires_grad_()
    group.size = 2                                                        # so that buckets are sent; NCCL has one rank
    (g,) = Buckets(group).grad((leaf * leaf).sum(), [leaf], 0.5)
    assert np.array_equal(g.numpy(), values)


@pytest.mark.parametrize("sync", [True, False], ids=["the whole batch's statistics", "each its own statistics"])
def test_two_ranks_with_a_gpu_each(sync):
    if gpus() < 2 or MPIRUN is None:
        pytest.skip(f"needs two GPUs and an mpirun; there are {gpus()} GPUs, and mpirun is {MPIRUN}")
    expected = ranks.losses(Group(), "cpu", sync)
    found = [mpirun(2, "-m", "tests.gpu.ranks", int(sync)) for _ in range(2)]
    assert all(done.returncode == 0 for done in found), found[0].stderr + found[1].stderr
    assert found[0].stdout == found[1].stdout, "a second run gave other bits"
    losses = json.loads(found[0].stdout)
    if sync:
        np.testing.assert_allclose(losses, expected, rtol=1e-3)
    assert np.isfinite(losses).all() and len(losses) == len(expected)
