"""From mpirun to a group: whether this process is one of several, with how many threads it works, and how all end where one fails."""
from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from functools import cache

from tinygradconv.settings import settings

from .agree import check_equal
from .group import Group

STARTED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "PMIX_RANK")       # Open MPI; MPICH, Intel MPI and srun; MPICH; PMIx
FIRST_WORD = 1.0          # seconds that other ranks leave to rank 0, as an error is mostly everyone's, and should be said once
HEARD = 0.5               # seconds for mpirun to hand on what was said: ended at once, MPICH's now and then drops it
FAILED = 1


def started_by_mpi() -> int:
    """How many processes mpirun has started with this one, by its environment; 1 for mpirun -n 1, or without mpirun."""
    for name in STARTED:
        text = os.environ.get(name, "")
        if text.isdecimal():
            return 2 if name == "PMIX_RANK" else int(text)                           # PMIx does not say how many
    return 1


@cache
def world() -> Group:
    """The group of all processes that mpirun started together; one rank alone where it started none, or one.

    ImportError: mpi4py is missing, or belongs to another MPI than mpirun does. ValueError: the ranks are not of one version.
    """
    count = started_by_mpi()
    if count == 1:
        return Group()
    try:
        from .mpi import MPIGroup
    except (ImportError, RuntimeError) as problem:
        first = " ".join(str(problem).split(":")[0].split())
        raise ImportError(f"mpirun has started this process with others, but mpi4py cannot be used ({first}). pip install "
                          f"'tinygradconv[mpi]', which finds the MPI of the system, or with pip install mpich brings one along") from None
    group = MPIGroup()
    if group.size == 1 and "PMIX_RANK" not in os.environ:
        raise ImportError(f"mpirun has started {count} processes, but mpi4py sees each of them alone: it belongs to another MPI than "
                          f"this mpirun. Use the mpirun that lies beside the MPI which mpi4py was built for")
    return group


@contextlib.contextmanager
def ranks() -> Iterator[Group]:
    """A block in which this process is one of a group, with its share of the cores; an exception in one rank ends all.

    The rank that fails says why on standard error (the traceback too where the error is not one that a user causes) and ends the
    others: they may be waiting for it. A rank alone raises as ever.
    """
    group = world()
    if group.size == 1:
        yield group
        return
    try:
        check_equal(group, version=_version())
        with settings(threads=threads_of(group)):
            yield group
        sys.stdout.flush()
    except Exception as problem:
        if not group.leads:
            time.sleep(FIRST_WORD)
        if not isinstance(problem, (ValueError, OSError, ArithmeticError, ImportError, MemoryError)):
            traceback.print_exc()
        said = " ".join(str(problem).split()) or type(problem).__name__
        print(f"tinygradconv: rank {group.rank} of {group.size}: {said}", file=sys.stderr, flush=True)
        time.sleep(HEARD)
        group.end(FAILED)
    except KeyboardInterrupt:
        group.end(130)


def threads_of(group: Group) -> int:
    """How many threads this rank's kernels use: its CPUs, divided by the ranks that run on the same ones; or as the user says."""
    from tinygradconv.settings import get
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    every = group.exchange([socket.gethostname(), mine])
    if "TGC_THREADS" in os.environ or "OMP_NUM_THREADS" in os.environ:
        return get("threads")
    beside = sum(1 for host, cpus in every if host == socket.gethostname() and not set(cpus).isdisjoint(mine))
    return max(1, len(mine) // beside)


def _version() -> dict[str, str]:
    import importlib.metadata

    import numpy as np
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return {"tinygradconv": importlib.metadata.version("tinygradconv"), "numpy": np.__version__}
    return {"numpy": np.__version__}
