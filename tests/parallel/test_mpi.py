"""Several processes under mpirun train as one does with the whole batch; they stop, are killed, fail and go on together."""
from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.parallel import program
from tinygradconv.parallel import Group

ROOT = Path(__file__).resolve().parents[2]
MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
pytestmark = pytest.mark.skipif(MPIRUN is None or importlib.util.find_spec("mpi4py") is None,
                                reason="needs mpi4py and an mpirun: pip install '.[mpi]' mpich")
# Open MPI starts nothing as root, nor more processes than there are cores, unless it is told to; MPICH does not ask.
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


def mpirun(count, *arguments):
    """The finished process of `mpirun -n count python …`, from the repository's root; one that hangs is a failure."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run([MPIRUN, "-n", str(count), sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, env={**os.environ, **OPEN_MPI, "OMP_NUM_THREADS": "1", "PYTHONPATH": path})


def start(count, *arguments):
    """mpirun of the program."""
    return mpirun(count, "-m", "tests.parallel.program", *arguments)


@pytest.fixture(scope="module")
def alone():
    """What one process sees of the whole batches."""
    return {name: program.losses(Group(), *way) for name, way in program.WAYS.items()}


def apart(a, b):
    """How far the losses and the weights of two trainings are from each other."""
    return max(np.abs(np.subtract(a["losses"], b["losses"])).max(),
               max(np.abs(np.subtract(a["weights"][path], b["weights"][path])).max() for path in a["weights"]))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What three ranks, and two of them, see of the whole batches, by their number; and the bytes in which a run of the two ends."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = start(3, "losses", folder)
    assert done.returncode == 0, done.stderr
    return {seen["ranks"]: seen for seen in json.loads(done.stdout)}, (folder / "last.safetensors").read_bytes()


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_learn_what_one_process_learns_from_the_whole_batch(alone, together, count):
    """In float64 to 10⁻¹², in float32 to 10⁻⁵; the rows of a batch are 5 and 4, or 3 each, and in every fourth 1 and none."""
    seen = together[0][count]
    for name, within in (("float64", 1e-12), ("float32", 1e-5)):
        assert len(seen[name]["losses"]) == 8
        assert apart(seen[name], alone[name]) < within
        assert seen[name]["counts"] == alone[name]["counts"] and seen[name]["counts"][1] == 12
        assert len(set(seen[name]["checksums"])) == 1 and len(seen[name]["checksums"]) == count
    assert seen["float32 again"] == seen["float32"]                                             # the same bits every time
    own = seen["each its own statistics"]
    assert apart(own, alone["each its own statistics"]) > 1e-3                                  # so the comparison can fail
    assert len(set(own["checksums"])) == 1                                                      # running statistics too


def test_a_signal_to_one_rank_stops_all_and_the_run_goes_on_to_the_same_bits(together, tmp_path):
    """One run: stopped in its second step by SIGTERM, killed before its sixth, and then left alone."""
    folder = tmp_path / "run"

    def step():
        return json.loads((folder / "state.json").read_text())["position"]["step"]
    done = start(2, "run", folder, "TERM", 1, 1)
    assert (done.returncode, step()) == (143, 2), done.stderr                      # the step in which it came is finished, and saved
    done = start(2, "run", folder, "KILL", 1, 5)
    assert done.returncode != 0 and step() == 5
    assert start(2, "run", folder).returncode == 0
    assert (folder / "last.safetensors").read_bytes() == together[1]


def test_an_error_in_one_rank_ends_all_and_is_said(tmp_path):
    done = start(2, "run", tmp_path / "run", "raise", 1, 2)
    assert done.returncode == 1
    assert "tinygradconv: rank 1 of 2: planted\n" in done.stderr


TRAINS_AND_TESTS = """
import sys
from tinygradconv import cli
from tinygradconv.train import curves
curves.draw = lambda *_, **options: None
sys.exit(cli.main(["train", "lenet5", "--epochs", "1", "--batch-size", "256", "--out", sys.argv[1]]) or cli.main(["eval", sys.argv[1]]))
"""


def test_the_commands_train_and_test_with_two_and_say_everything_once(tmp_path):
    done = mpirun(2, "-c", TRAINS_AND_TESTS, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    trained, tested = done.stdout.splitlines()
    assert trained.startswith("test accuracy ") and tested == trained
    assert done.stderr.count("1,437 images") == done.stderr.count("epoch 1/1") == 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())["versions"]["ranks"] == "2"
    other = subprocess.run([MPIRUN, "-n", "1", sys.executable, "-m", "tinygradconv", "train", "--resume", str(tmp_path / "run"),
                            ":", "-n", "1", sys.executable, "-m", "tinygradconv", "train", "lenet5"],
                           cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, **OPEN_MPI})
    assert other.returncode == 1
    assert "the ranks do not agree on command: rank 0 has {'model': None, 'resume': '" in other.stderr


DIVERGES = """
import sys
from tinygradconv import cli
from tinygradconv.train import curves
curves.draw = lambda histories, files, title: files[0].write_text("drawn")            # without matplotlib, which takes a second
from tinygradconv.train.training import Training
step = Training.step
def faulty(self, x, labels):
    if self.position.step == 8:
        next(iter(self.model.parameters.values())).data[...] = float("nan")
    return step(self, x, labels)
Training.step = faulty
sys.exit(cli.main(sys.argv[1:]))
"""


def test_where_the_loss_diverges_rank_0_draws_its_curves_and_has_the_word(tmp_path):
    done = mpirun(2, "-c", DIVERGES, "train", "lenet5", "--epochs", "2", "--batch-size", "256", "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "rank 0 of 2: the loss is nan at step 9 (epoch 2, batch 3): " in done.stderr and "rank 1 of 2" not in done.stderr
    assert f"The last snapshot is in {tmp_path / 'run'}" in done.stderr
    assert [path.read_text() for path in (tmp_path / "run").glob("curves.*")] == ["drawn"]


def test_ranks_without_gpus_are_told_before_a_run_is_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1,-1")
    done = mpirun(2, "-m", "tinygradconv", "train", "lenet5", "--device", "cuda", "--out", tmp_path / "run")
    assert done.returncode != 0 and not (tmp_path / "run").exists()
    assert "tinygradconv: rank 0 of 2: rank 0 of 2 cannot have GPU -1 of " in done.stderr and "Traceback" not in done.stderr
    assert "Start as many ranks on a machine as it has GPUs" in done.stderr
