"""Event files for TensorBoard, read back by tensorboardX's definition of an event and a reader of records of our own."""
from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygradconv.train.log import Log
from tinygradconv.train.loop import train
from tinygradconv.train.snapshot import Run

from . import toy

ROOT = Path(__file__).resolve().parent.parent.parent
TRAINING = ("loss/training", "accuracy/training (%)", "learning rate", "images per second", "ms per step")
TESTED = "accuracy/test (%)"


def crc32c(data):
    """The cyclic redundancy check with Castagnoli's polynomial, bit by bit (RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(path):
    """The events of a file; a record that was cut off ends it, as for TensorBoard."""
    from tensorboardX.proto.event_pb2 import Event
    data, at, found = path.read_bytes(), 0, []
    while at + 12 <= len(data):
        (length, check), body = struct.unpack_from("<QI", data, at), at + 12
        if body + length + 4 > len(data):
            break
        assert check == masked(data[at:at + 8]) and struct.unpack_from("<I", data, body + length)[0] == masked(data[body:body + length])
        found.append(Event.FromString(data[body:body + length]))
        at = body + length + 4
    return found


def shown(folder):
    """{tag: [(step, value), …]} as TensorBoard shows a folder: a START drops what earlier files have from its step on."""
    tags = {}
    for path in sorted(folder.iterdir()):
        for event in events(path):
            if event.HasField("session_log"):
                tags = {tag: [point for point in points if point[0] < event.step] for tag, points in tags.items()}
            for value in event.summary.value:
                tags.setdefault(value.tag, []).append((event.step, value.simple_value))
    return tags


def toy_run(folder, kill=None, every=2):
    """Train the toy in `folder`, or go on there; `kill`: with signal 9 after so many steps."""
    from tinygradconv.train.callbacks import Callback
    from tinygradconv.train.tensorboard import TensorBoard

    class Kill(Callback):
        def step(self, training, loss, images, correct):
            if training.position.step == kill:
                os.kill(os.getpid(), 9)
    run = Run.open(folder) if (folder / "config.json").exists() else Run.create(folder, {"seed": 5})
    run.lock()
    try:
        return train(toy.SPEC.build((7, 7, 1), seed=5), toy.data(), toy.RECIPE, seed=5, run=run, save_every=1e9,
                     callbacks=[TensorBoard(folder / "tensorboard", every), Kill()])
    finally:
        run.close()


def test_the_points_are_those_of_the_log(tmp_path):
    pytest.importorskip("tensorboardX")
    assert crc32c(b"123456789") == 0xE3069283                                      # the check value of CRC-32C
    at = toy_run(tmp_path / "run", every=4)                                        # 4 steps are an epoch: means as in a row of the log
    rows, points = Log(tmp_path / "run" / "log.csv").rows(), shown(tmp_path / "run" / "tensorboard")
    assert set(points) == {*TRAINING, TESTED} and at.step == 8
    for tag, column in (("loss/training", "loss"), ("accuracy/training (%)", "train_accuracy"), ("learning rate", "rate"),
                        (TESTED, "accuracy")):
        assert [step for step, _ in points[tag]] == [4, 8]
        assert [value for _, value in points[tag]] == pytest.approx([float(row[column]) for row in rows], rel=1e-5)
    images, times = np.array(points["images per second"])[:, 1], np.array(points["ms per step"])[:, 1]
    assert images == pytest.approx(1000 * 7 / times, rel=1e-5)                     # 28 images in 4 steps
    assert times.sum() * 4 / 1000 == pytest.approx(at.seconds, rel=1e-5)


def test_a_run_that_was_killed_goes_on_without_doubled_steps(tmp_path):
    pytest.importorskip("tensorboardX")
    code = (f"import sys; from pathlib import Path; from tests.train.test_tensorboard import toy_run; "
            f"toy_run(Path({str(tmp_path / 'run')!r}), kill=7)")
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
                            text=True, timeout=200)
    assert killed.returncode == -9, killed.stderr
    board = tmp_path / "run" / "tensorboard"
    assert [step for step, _ in shown(board)["loss/training"]] == [2, 4, 6]        # in the file before the kill: nothing waits in memory
    toy_run(tmp_path / "run")                                                      # goes on from the epoch's end, after step 4
    assert len(list(board.iterdir())) == 2
    first, second = (events(path) for path in sorted(board.iterdir()))
    assert [event.step for event in second if event.HasField("session_log")] == [5]
    assert any(event.step == 6 for event in first) and any(event.step == 6 for event in second)
    toy_run(tmp_path / "whole")
    points, expected = shown(board), shown(tmp_path / "whole" / "tensorboard")
    for tag in ("loss/training", "accuracy/training (%)", "learning rate", TESTED):
        assert points[tag] == expected[tag], tag                                   # every step once, and the same bits
    assert [step for step, _ in points["ms per step"]] == [2, 4, 6, 8]


def test_a_record_that_a_kill_cut_off_does_not_hide_what_follows(tmp_path):
    pytest.importorskip("tensorboardX")
    toy_run(tmp_path / "run")
    path = next((tmp_path / "run" / "tensorboard").iterdir())
    whole = shown(path.parent)
    path.write_bytes(path.read_bytes()[:-3])
    assert shown(path.parent)["loss/training"] == whole["loss/training"] and len(shown(path.parent)[TESTED]) == 1


def test_tensorboard_itself_reads_the_same(tmp_path):
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    toy_run(tmp_path / "run")
    read = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for tag, points in shown(tmp_path / "run" / "tensorboard").items():
        assert [(point.step, point.value) for point in read.Scalars(tag)] == points


def test_without_tensorboardx_the_extra_is_named(tmp_path, monkeypatch):
    from tinygradconv.train.tensorboard import TensorBoard
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"written by tensorboardX: pip install 'tinygradconv\[tensorboard\]'. Or train without them"):
        TensorBoard(tmp_path)
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_written_is_named(tmp_path):
    pytest.importorskip("tensorboardX")
    (tmp_path / "run").mkdir()
    run = Run.create(tmp_path / "run", {"seed": 5})
    (tmp_path / "run" / "tensorboard").write_text("a file stands where the folder should be")
    run.close()
    with pytest.raises(OSError, match="cannot write .*tensorboard.*: File exists"):
        toy_run(tmp_path / "run")
