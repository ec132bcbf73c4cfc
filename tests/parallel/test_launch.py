"""From mpirun's environment to a group, and what is said where that does not work."""
from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.parallel.threads import together
from tinygradconv.parallel import Group, check_equal, launch


@pytest.fixture
def environment(monkeypatch):
    """The variables of mpirun, none of which is set; the group is looked for anew."""
    for name in (*launch.STARTED, "TGC_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    launch.world.cache_clear()
    yield monkeypatch
    launch.world.cache_clear()


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"])
def test_mpirun_is_known_by_its_environment(environment, name):
    assert launch.started_by_mpi() == 1
    assert type(launch.world()) is Group
    environment.setenv(name, "3")
    assert launch.started_by_mpi() == 3


def test_without_mpi4py_an_error_says_what_to_install(environment):
    environment.setenv("PMI_SIZE", "2")
    environment.setitem(sys.modules, "mpi4py", None)
    environment.delitem(sys.modules, "tinygradconv.parallel.mpi", raising=False)
    with pytest.raises(ImportError, match=r"mpirun has started this process with others, but mpi4py cannot be used .*pip install "
                                          r"'tinygradconv\[mpi\]'"):
        launch.world()


def test_an_mpi_that_is_not_mpiruns_is_noticed(environment):
    environment.setenv("PMI_SIZE", "2")
    fake = types.ModuleType("tinygradconv.parallel.mpi")
    fake.MPIGroup = Group                                                    # of size 1
    environment.setitem(sys.modules, "tinygradconv.parallel.mpi", fake)
    with pytest.raises(ImportError, match=r"^mpirun has started 2 processes, but mpi4py sees each of them alone: it belongs to another "):
        launch.world()


def test_training_alone_imports_no_mpi():
    code = "import sys, tinygradconv.train.loop; assert 'tinygradconv.parallel' in sys.modules and 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[2])


class _Beside(Group):
    """A rank among others, whose hosts and CPUs are made up."""

    def __init__(self, others):
        self.others = others

    def exchange(self, value):
        host, cpus = value
        return [value, *[(host if at == "here" else "elsewhere", cpus if given is None else given) for at, given in self.others]]


@pytest.mark.parametrize(("others", "threads"), [([], 4), ([("here", None)], 2), ([("here", None)] * 2, 1), ([("here", None)] * 9, 1),
                                                 ([("elsewhere", None)], 4), ([("here", [97, 98])], 4)])
def test_ranks_that_share_cores_divide_them(environment, others, threads):
    environment.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert launch.threads_of(_Beside(others)) == threads


def test_threads_that_the_user_asks_for_are_kept(environment):
    from tinygradconv.settings import get
    environment.setenv("OMP_NUM_THREADS", "7")
    assert launch.threads_of(_Beside([("here", None)])) == get("threads")


def test_ranks_that_differ_are_told_in_what():
    def rank(group):
        check_equal(group, seed=3, recipe={"rate": 0.1, "epochs": 2})
        check_equal(group, seed=3, recipe={"rate": 0.1 * (1 + group.rank), "epochs": 2})
    with pytest.raises(ValueError, match=r"^the ranks do not agree on recipe: rank 0 has {'rate': 0\.1}, rank 1 has {'rate': 0\.2}\. "):
        together(2, rank)
