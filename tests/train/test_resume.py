"""A run that was killed at any moment, and goes on, ends in the same bits as one that was not; and what is damaged is noticed."""
from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.train import toy
from tinygradconv.backends import choice
from tinygradconv.interop import files, safetensors
from tinygradconv.train.interrupt import Interrupted
from tinygradconv.train.log import Log
from tinygradconv.train.snapshot import Run, free_folder
from tinygradconv.train.training import LossError, Training

# One process learns what a run imports once, and forks a child for every kill and every resumption.
MANY_KILLS = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import toy

def child(folder, *write):
    if (pid := os.fork()) == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            toy.main(folder, *write)
        except BaseException as problem:
            print(f"{folder} {write}: {problem!r}", flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for write in map(int, sys.argv[3:]):
    folder = Path(sys.argv[2]) / str(write)
    killed = child(folder, write)
    again = child(folder, 2 * write) if folder.joinpath("config.json").exists() else 0          # a second kill on the way
    print(write, killed, again, child(folder), flush=True)
"""


def rows(folder: Path) -> list[tuple[str, ...]]:
    """The log without the seconds."""
    return [tuple(row.values())[:-1] for row in Log(folder / "log.csv").rows()]


def end(folder: Path) -> tuple:
    """What must be the same: the bytes of the weights, last and best, and the rows of the log."""
    return (folder / "last.safetensors").read_bytes(), (folder / "best.safetensors").read_bytes(), rows(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    toy.run(folder)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_at_any_write_and_resumed_the_end_is_the_same_bits(whole, tmp_path):
    writes = [1, 2, 4, 6, 9, 12, 15, 18, 21, 50, 64, 65, 66, 67, 68, 69]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MANY_KILLS, str(Path(toy.__file__).parent), str(tmp_path), *map(str, writes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(lines) == len(writes), done.stdout + done.stderr
    assert all(killed in (-signal.SIGKILL, 0) and last == 0 for _, killed, _, last in lines), lines
    assert sum(killed == -signal.SIGKILL for _, killed, _, _ in lines) >= len(writes) - 1, lines
    expected = end(whole)
    for write in writes:
        assert end(tmp_path / str(write)) == expected, f"killed before write {write}"


def test_an_end_that_differs_in_one_bit_would_be_noticed(whole, tmp_path):
    other = tmp_path / "other"
    toy.run(other, recipe=replace(toy.RECIPE, rate=0.2000001))
    assert end(other)[0] != end(whole)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_resumption_ends_in_the_same_bits(whole, tmp_path, monkeypatch, number):
    folder, step, calls = tmp_path / "run", Training.step, []

    def counting(self, x, labels):
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), number)
        return step(self, x, labels)
    monkeypatch.setattr(Training, "step", counting)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stopped:
        toy.run(folder, save_every=1e9)
    assert stopped.value.number == number and signal.getsignal(number) is before
    state, problems = Run.open(folder).load()
    assert (state.position.step, state.position.epoch, state.position.batch, problems) == (6, 1, 2, [])
    at = toy.run(folder)
    assert end(folder) == end(whole) and (at.epoch, at.step) == (2, 8)


def test_a_finished_run_stays_as_it_is(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    at = toy.run(folder)
    assert end(folder) == end(whole) and at.tested == 12 and at.correct >= 0


def test_the_folder_holds_what_it_should_and_weights_have_no_clock(whole, tmp_path):
    assert sorted(p.name for p in whole.iterdir()) == ["best.safetensors", "config.json", "last.safetensors", "log.csv", "state.json",
                                                       "state.previous.safetensors", "state.safetensors"]
    weights = safetensors.load(whole / "last.safetensors")
    model = toy.SPEC.build((7, 7, 1))
    assert sorted(weights) == sorted([*model.parameters, *model.buffers])
    assert [(row[0], row[1], bool(row[5])) for row in rows(whole)] == [("1", "4", True), ("2", "8", True)]
    theirs = load_file(whole / "last.safetensors")
    assert all((theirs[path] == weights[path]).all() for path in weights)


SPOIL = {"cut": lambda data: data[:len(data) // 2], "empty": lambda data: b"",
         "one bit": lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
         "pickle": lambda data: b"\x80\x04\x95 a pickle", "absurd header": lambda data: b"\xff" * 64}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
def test_a_damaged_state_is_noticed_and_the_one_before_is_used(whole, tmp_path, capsys, spoil):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    path = folder / "state.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    state, problems = Run.open(folder).load()
    assert state.position.step == 8 and len(problems) == 1
    assert "state.safetensors is" in problems[0] and "Going on from state.previous" in problems[0]
    toy.run(folder)
    assert end(folder) == end(whole) and "Going on from state.previous.safetensors" in capsys.readouterr().err
    other = folder / "state.previous.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    other.write_bytes(spoil(other.read_bytes()))
    with pytest.raises(ValueError, match=r"No sound snapshot is left in .*run"):
        toy.run(folder)


def test_a_state_of_another_run_or_another_model_is_refused(whole, tmp_path):
    folder = tmp_path / "other"
    Run.create(folder, {"seed": 6}).close()
    shutil.copy(whole / "state.safetensors", folder)
    with pytest.raises(ValueError, match=r"state\.safetensors belongs to another run"):
        toy.run(folder)
    state, _ = Run.open(whole).load()
    training = Training(toy.SPEC.build((7, 7, 1), seed=1), toy.data(), toy.RECIPE, 5)
    before = {path: a.copy() for path, a in training.weights().items()}
    with pytest.raises(ValueError, match=r"the snapshot: 0\.bias is missing; it should be float32 \(3,\)"):
        training.restore(replace(state, model={path: a for path, a in state.model.items() if path != "0.bias"}))
    with pytest.raises(ValueError, match=r"epoch 9, batch 0, step 36, which this run of 2 epochs of 4 batches does not have"):
        training.restore(replace(state, position=replace(state.position, epoch=9, step=36)))
    assert all((a == before[path]).all() for path, a in training.weights().items())


def test_torn_and_superfluous_rows_of_the_log_are_taken_away(tmp_path):
    log = Log(tmp_path / "log.csv")
    log.start()
    log.add(1, 4, 0.1, 0.5, 80.0, "90.0", 1.0)
    log.add(2, 8, 0.1, 0.4, 85.0, "91.0", 2.0)
    with open(log.path, "a") as file:
        file.write("3,12,0.")
    assert [row["step"] for row in log.rows()] == ["4", "8"]
    text = "epoch,step,rate,loss,train_accuracy,accuracy,seconds\n1,4,0.1,0.5,80.0,90.0,1.0\n"
    assert log.restore(text) and log.path.read_text() == text == log.text
    log.path.write_text(text.replace("0.5", "0.6") + "2,8")
    assert not log.restore(text) and log.path.read_text() == text
    log.path.write_text("something else\n")
    with pytest.raises(ValueError, match=r"log\.csv is not the log of a run"):
        log.rows()
    for line in ("1,4,0.1,0.5,80.0,90.0", "1,4,0.1,0.5,80.0,90.0,1.0,1", "one,4,0.1,0.5,80.0,90.0,1.0", "1,4,0.1,0.5,80.0,90.0,x", ""):
        log.path.write_text(text + line + "\n")
        with pytest.raises(ValueError, match=r"log\.csv, line 3, is damaged: expected 7 numbers, got"):
            log.rows()


def test_a_full_disk_loses_nothing(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = Run.open(folder)
    state, _ = run.load()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*last\.safetensors: No space left on device. What was saved before is still there"):
        run.save(state)
    with pytest.raises(OSError, match=r"cannot write .*log\.csv: No space left"):
        run.log.add(1, 2, 3, 4, 5, 6, 7)
    run.log.path.write_bytes(before["log.csv"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_folders_that_are_taken_foreign_or_unwritable(whole, tmp_path):
    with pytest.raises(FileExistsError, match=r"is a run already; tinygradconv train --resume .*run goes on with it"):
        Run.create(whole, {})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"is not empty\. Or name another folder by --out"):
        Run.create(tmp_path, {})
    with pytest.raises(OSError, match=r"cannot make the folder .*notes\.txt/run"):
        Run.create(tmp_path / "notes.txt" / "run", {})
    with pytest.raises(FileNotFoundError, match="is not the folder of a run: it has no config.json"):
        Run.open(tmp_path)
    for text, said in (("{", "damaged"), ("[]", "expected a JSON object, got list"), ("{}", "reads runs of format 2, got None")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            Run.open(tmp_path)
    assert free_folder(whole).name == "run-2" and free_folder(tmp_path / "new").name == "new"


def test_one_process_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    first = Run.create(tmp_path / "run", {})
    with pytest.raises(BlockingIOError, match="is in use: another process is training this run"):
        Run.open(tmp_path / "run").lock()
    first.close()
    second = Run.open(tmp_path / "run")
    second.lock()
    second.close()


def test_a_loss_that_is_not_a_number_stops_the_run_and_spares_the_snapshot(tmp_path):
    said = (r"the loss is (nan|inf) at step 2 \(epoch 1, batch 2\): conv2d at .*toy\.py:\d+: finite inputs gave -?inf .*, "
            r"in 0: Conv of the model\. Nothing was learned from this batch\. Try a smaller rate")
    with np.errstate(all="ignore"), pytest.raises(LossError, match=said):
        toy.run(tmp_path / "run", recipe=replace(toy.RECIPE, rate=1e38, schedule="constant"), save_every=1e9)
    state, _ = Run.open(tmp_path / "run").load()
    assert all(np.isfinite(a).all() for a in state.model.values())


def test_safetensors_bytes_depend_on_the_arrays_only(rng):
    arrays = {"b": rng.normal(size=(2, 3)).astype(np.float32), "a": np.arange(4), "c": np.array(1.5), "none": np.zeros((0, 2), np.float32)}
    data = safetensors.to_bytes(arrays, {"z": 1, "y": 0.1})
    assert data == safetensors.to_bytes(dict(reversed(arrays.items())), {"y": 0.1, "z": 1})
    back, said = safetensors.from_bytes(data, "x")
    assert said == {"z": 1, "y": 0.1} and sorted(back) == sorted(arrays)
    assert all(back[name].tobytes() == array.tobytes() and back[name].shape == array.shape for name, array in arrays.items())
    theirs = pytest.importorskip("safetensors.numpy").load(data)
    assert sorted(theirs) == sorted(arrays)


def test_a_run_goes_on_with_the_kernels_that_were_tuned(tmp_path):
    table = {"conv2d_forward float32 v3 a geometry": "winograd_forward"}
    choice.restore(table)
    try:
        toy.run(tmp_path)
        choice.restore({})
        assert Run.open(tmp_path).load()[0].tuned == table
        toy.run(tmp_path)
        assert choice.tuned() == table
    finally:
        choice.restore({})
