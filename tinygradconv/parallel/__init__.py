"""Several processes that train one model, each on its share of every batch: `mpirun -n 2 tinygradconv train …`.

    group.py      what ranks can do together; one rank alone, which needs no MPI
    mpi.py        the same over MPI (mpi4py), imported only where mpirun has started this process
    buckets.py    gradients, summed over the ranks while the backward pass goes on
    agree.py      whether all ranks are at the same thing, and have the same weights
    launch.py     the group of this process, its threads, and an end of all where one of them fails
    nccl.py       ranks that have a GPU each: gradients from GPU to GPU by NCCL, all else by MPI; imported where it is used
"""
from __future__ import annotations

from .agree import check_equal, checksum
from .buckets import Buckets
from .group import Group
from .launch import ranks, world

__all__ = ["Buckets", "Group", "check_equal", "checksum", "ranks", "world"]
