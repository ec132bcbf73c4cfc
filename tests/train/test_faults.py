"""A disk that is full, or fails, at any call: one clear line, the snapshot before stands, and resumption ends in the same bits."""
from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.train import toy
from tests.train.faults import disk, failing
from tinygradconv.interop.files import append_line, write_whole
from tinygradconv.train.snapshot import Run
from tinygradconv.train.state import Position, State

GOES_ON = r"When that is mended, tinygradconv train --resume .* goes on"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def state(step: int) -> State:
    weights = {"weight": np.full((3, 2), step, np.float32)}
    return State(Position(step=step), weights, {"weight": weights["weight"] / 2}, ema={"average.weight": weights["weight"] / 4})


def two_steps(folder: Path, done: int = 0) -> int:
    """What a run writes in two steps, of which some have been done; how far it came before its disk failed it."""
    run = Run.open(folder)
    run.lock()
    try:
        before, _ = run.go_on()
        for step in range(before.position.step + 1, 3):
            run.log.add(0, step, 0.1, 0.5, "", "", step)
            run.save_best({"weight": np.full(3, step, np.float32)}, step)
            run.save(state(step))
            done = step
    finally:
        run.close()
    return done


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that has saved its first snapshot."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    run = Run.create(folder, {"seed": 1})
    run.save(state(0))
    run.close()
    return folder


@pytest.mark.parametrize(("number", "lasting"), [(errno.ENOSPC, True), (errno.EDQUOT, False)])
def test_wherever_a_disk_fails_the_snapshot_before_stands_and_the_end_is_the_same(begun, tmp_path, number, lasting):
    shutil.copytree(begun, tmp_path / "whole")
    with disk() as sound:
        two_steps(tmp_path / "whole")
    expected, failed = contents(tmp_path / "whole"), 0
    for at in range(1, len(sound.calls) + 1):
        folder = tmp_path / "run"
        shutil.copytree(begun, folder)
        try:
            with disk(at, failing(number), lasting=lasting):
                two_steps(folder)
        except OSError as problem:
            failed += 1
            assert type(problem) is type(OSError(number, "")) and problem.errno == number and "\n" not in str(problem)
            assert str(problem).startswith(f"cannot write {folder}") and os.strerror(number) in str(problem), problem
            assert "goes on" in str(problem) and str(folder) in str(problem), problem
            found, _ = Run.open(folder).load()
            assert found.model["weight"].tobytes() == state(found.position.step).model["weight"].tobytes()
            assert not [name for name in contents(folder) if name.endswith(".new")], "what was begun is removed"
        with disk():
            two_steps(folder)
        assert contents(folder) == expected, f"call {at}, {sound.calls[at - 1]}"
        shutil.rmtree(folder)
    assert failed > 0.8 * len(sound.calls)                # the rest are second names and leftovers, which a run can do without


@pytest.mark.slow
def test_a_training_on_a_full_disk_ends_with_one_line_and_its_resumption_in_the_same_bits(tmp_path, capsys):
    with disk() as sound:
        toy.run(tmp_path / "whole")
    expected = [(tmp_path / "whole" / f"{name}.safetensors").read_bytes() for name in ("last", "best")]
    for at in range(3, len(sound.calls), 60):
        folder = tmp_path / str(at)
        try:
            with disk(at, failing(errno.ENOSPC), lasting=True):
                toy.run(folder)
        except OSError as problem:
            assert "No space left on device. What was saved before is still there. Make room on that disk" in str(problem)
        capsys.readouterr()
        toy.run(folder)
        assert "damaged" not in capsys.readouterr().err
        assert [(folder / f"{name}.safetensors").read_bytes() for name in ("last", "best")] == expected, at


def test_a_file_system_without_second_names_keeps_the_snapshot_before(begun, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    monkeypatch.setattr(os, "link", lambda *_: failing(errno.EPERM)("link"))
    two_steps(folder)
    run = Run.open(folder)
    assert run.load()[0].position.step == 2
    (folder / "state.safetensors").write_bytes(b"")
    assert run.load()[0].position.step == 1
    (folder / "state.safetensors").unlink()
    assert run.load()[0].position.step == 1 and run.load()[1] == []


def test_a_line_that_could_not_be_written_leaves_nothing(tmp_path):
    path = tmp_path / "log.csv"
    append_line(path, "one")
    for at in (1, 2, 3, 4):                                # open, write, fsync, close
        with disk(at, failing(errno.ENOSPC)), pytest.raises(OSError, match=r"cannot write .*log\.csv: No space left on device"):
            append_line(path, "two")
        assert path.read_text() == "one\n"
    append_line(path, "two")
    assert path.read_text() == "one\ntwo\n"


def test_writes_that_take_a_part_are_gone_on_with(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    write_whole(tmp_path / "file", bytes(range(200)))
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == bytes(range(200))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_folder_that_became_read_only(begun, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    folder.chmod(0o555)
    run = Run.open(folder)
    user = os.geteuid()
    if user == 0:                                          # root may write everywhere, so it steps down for a moment
        os.seteuid(65534)
    try:
        said = r"Permission denied\. What was saved before is still there\. Make that folder writable\. "
        with pytest.raises(PermissionError, match=said + GOES_ON):
            run.save(state(1))
    finally:
        os.seteuid(user)
    assert run.load()[0].position.step == 0


@pytest.mark.parametrize("how", ["deleted", "moved", "another run"])
def test_a_folder_that_went_away_while_training(begun, tmp_path, how):
    pytest.importorskip("fcntl")
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    run = Run.open(folder)
    run.lock()
    run.go_on()
    folder.rename(tmp_path / "elsewhere")
    if how == "deleted":
        shutil.rmtree(tmp_path / "elsewhere")
    if how == "another run":
        shutil.copytree(begun, folder)
        before = contents(folder)
    for write in (lambda: run.save(state(1)), lambda: run.log.add(*range(7)), lambda: run.save_best({}, 1)):
        with pytest.raises(FileNotFoundError, match=r"run was moved or deleted while this process trained into it: nothing more is sa"):
            write()
    run.close()
    if how == "another run":
        assert contents(folder) == before
    if how == "moved":
        assert two_steps(tmp_path / "elsewhere") == 2
