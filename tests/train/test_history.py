"""The log of a run as numbers, and logs that are none."""
from __future__ import annotations

import math

import pytest

from tinygradconv.train.history import History
from tinygradconv.train.log import COLUMNS

from . import toy

ROWS = ["0,100,0.1,2.25,20.5,,1.5", "1,150,0.1,1.5,45.0,50.25,2.25", "2,300,0.05,nan,,60.5,4.5"]


def log(folder, *rows, end="\n"):
    folder.mkdir(exist_ok=True)
    (folder / "log.csv").write_text("\n".join((",".join(COLUMNS), *rows)) + end)
    return folder


def test_every_cell_is_its_number_and_an_empty_one_is_nan(tmp_path):
    history = History.read(log(tmp_path / "one", *ROWS))
    assert history.name == "one" and history.step.tolist() == [100, 150, 300] and history.epoch.tolist() == [0, 1, 2]
    assert history.rate.tolist() == [0.1, 0.1, 0.05] and history.seconds.tolist() == [1.5, 2.25, 4.5]
    assert history.loss[:2].tolist() == [2.25, 1.5] and math.isnan(history.loss[2])
    assert history.train_accuracy[:2].tolist() == [20.5, 45.0] and math.isnan(history.train_accuracy[2])
    assert math.isnan(history.accuracy[0]) and history.accuracy[1:].tolist() == [50.25, 60.5]
    assert history.final == 60.5 and history.epoch_steps == 150


def test_before_the_first_epoch_has_ended_there_is_no_accuracy_nor_the_length_of_an_epoch(tmp_path):
    history = History.read(log(tmp_path, ROWS[0]) / "log.csv", "mine")
    assert history.name == "mine" and math.isnan(history.final) and math.isnan(history.epoch_steps)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    assert History.read(log(tmp_path, *ROWS, "3,450,0.0", end="")).step.tolist() == [100, 150, 300]


@pytest.mark.parametrize(("rows", "said"), [
    ([], "log.csv has no rows yet: one is written every 100 steps, and after every epoch"),
    ([ROWS[0], "1,150,0.1,1.5,45.0,50.2.5,2.25"], "log.csv, line 3: accuracy must be a number, got '50.2.5'. The log is damaged"),
    ([ROWS[0], "1,15"], "log.csv, line 3"), ([ROWS[0], "1,150,0.1,cat,45.0,50.25,2.25"], "log.csv, line 3"),
    ([ROWS[1], ROWS[0]], "log.csv, line 3: steps must rise, got 150 and then 100. The log is damaged"),
    ([ROWS[0], ROWS[0]], "steps must rise, got 100 and then 100"), (["0,0,0.1,1,1,,1"], "line 2: steps must rise, got 0 and then 0"),
])
def test_a_damaged_log_is_named_with_its_line(tmp_path, rows, said):
    with pytest.raises(ValueError) as caught:
        History.read(log(tmp_path, *rows))
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


def test_the_log_of_a_run_must_be_what_its_snapshot_counts_on(tmp_path):
    toy.run(tmp_path / "run")
    path = tmp_path / "run" / "log.csv"
    before, whole = History.read(tmp_path / "run"), path.read_text()
    path.write_text(whole + "3,12,0.1,1.0,50.0,50.0,9.9\n")                 # a row that no snapshot counts on yet
    assert History.read(tmp_path / "run").step.tolist() == [*before.step, 12]
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1].replace(".", "1", 1))
    assert History.read(path).step.tolist() == before.step.tolist()           # a log as such: nobody knows what it was
    with pytest.raises(ValueError, match=r"log.csv is damaged: it is not what was written. tinygradconv train --resume .*run writes it"):
        History.read(tmp_path / "run")


def test_what_is_no_log_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run: there is no .*log.csv"):
        History.read(tmp_path)
    for data in (b"time,loss\n1,2\n", b"\x89PNG\r\n\x1a\n\0\0\n"):
        (tmp_path / "log.csv").write_bytes(data)
        with pytest.raises(ValueError, match="log.csv is not the log of a run"):
            History.read(tmp_path)


def test_rows_of_a_few_steps_are_drawn_together_with_their_neighbours(tmp_path):
    rows = ["0,100,1,2.0,10,,1", "1,120,1,4.0,10,50,2", "1,200,1,1.0,10,,3", "2,240,1,8.0,10,60,4"]            # 100, 20, 80 and 40 steps
    history = History.read(log(tmp_path, *rows))
    where, loss = history.pieces(history.loss)
    assert where.tolist() == [0, 3] and loss.tolist() == [2.0, (20 * 4 + 80 * 1 + 40 * 8) / 140]
    history = History.read(log(tmp_path, "1,8,1,2.0,10,40,1", "2,16,1,4.0,10,50,2", "2,20,1,nan,10,,3", "3,24,1,1.0,10,60,4"))
    where, loss = history.pieces(history.loss)                                       # an epoch has 8 steps, and a loss is missing
    assert where.tolist() == [0, 3] and loss.tolist() == [2.0, (8 * 4 + 4 * 1) / 12]
    assert history.pieces(history.loss * float("nan"))[0].tolist() == []
