"""What one sees of a run: a bar where there is a terminal, a line now and then where there is none, and how a model is judged."""
from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.spec import Dense, Flatten
from tinygradconv.train import progress
from tinygradconv.train.evaluate import accuracy_line, evaluate
from tinygradconv.train.loop import train
from tinygradconv.train.memory import resident_bytes
from tinygradconv.train.progress import Progress
from tinygradconv.train.recipe import Recipe
from tinygradconv.train.state import Position

from . import toy


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream: io.StringIO, epochs: int = 2) -> str:
    bar, at = Progress(stream), Position()
    model = (Flatten() >> Dense(3)).build((2, 2, 1))
    training = SimpleNamespace(steps=6, recipe=SimpleNamespace(epochs=2), position=at, finished=False, model=model)
    bar.begin(training)
    for step in range(3 * epochs):
        at.step, at.batch, at.seconds = step + 1, step % 3 + 1, (step + 1) / 8
        bar.step(training, 1.5 - step / 10, 32, 24 + step % 2)
        if step % 3 == 2:
            at.epoch, at.batch, at.accuracy, training.finished = at.epoch + 1, 0, 90.0, step == 5
            bar.epoch(training)
    bar.end(training)
    return stream.getvalue()


MEMORY = r"memory [\d,]+ MB, pool [\d,]+ MB"


def test_a_terminal_shows_what_has_been_learnt_and_how_fast():
    text = show(Terminal())
    for words in ("epoch 1/2: loss 1.4000, training accuracy 76.04 %, test accuracy 90.00 %", "125 ms/step", "256 images/s", "0:00 left",
                  "epoch 2/2: loss 1.1000, training accuracy 77.08 %, test accuracy 90.00 %", "step 6/6", "accuracy 77.1 %", "\r"):
        assert words in text


ALL = r"epoch 2/2, step 6/6, loss 1\.0000, accuracy 77\.1 %, 125 ms/step, 256 images/s, 0:00 left"
LAST = {200: rf"100% \|[█#]{{40,}}\| {ALL}, memory [\d,]+ MB, pool \d+ MB", 100: ALL, 80: ALL.removeprefix("epoch 2/2, "),
        60: r"step 6/6, loss 1\.0000, accuracy 77\.1 %, 0:00 left", 40: r"step 6/6, loss 1\.0000, 0:00 left", 20: "step 6/6", 3: ""}


@pytest.mark.parametrize(("columns", "last"), LAST.items())
def test_a_terminal_of_any_width_shows_what_has_room_and_never_overflows(monkeypatch, columns, last):
    monkeypatch.setattr(progress, "_columns", lambda stream: columns)
    drawn = [part.rstrip() for part in re.split(r"[\r\n]", show(Terminal())) if ": loss" not in part]
    assert all(len(part) < columns for part in drawn), drawn
    assert re.fullmatch(last, next((part for part in reversed(drawn) if part), "")), drawn


def test_a_file_gets_few_lines(monkeypatch):
    text = show(io.StringIO())
    said = "epoch 2/2: loss 1.1000, training accuracy 77.08 %, test accuracy 90.00 %, step 6/6, 125 ms/step, 256 images/s, "
    assert text.startswith(said)
    assert len(text.splitlines()) == 1 and "\r" not in text
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    lines = show(io.StringIO()).splitlines()
    assert len(lines) == 8 and re.fullmatch(r"epoch 1/2, step 2/6, loss 1\.4000, accuracy 76\.6 %, 125 ms/step, 256 images/s, 0:00 left, "
                                            r"memory [\d,]+ MB, pool \d+ MB", lines[1])


def test_a_run_that_goes_on_where_only_a_test_is_left_says_nothing_of_losses():
    stream = io.StringIO()
    bar, at = Progress(stream), Position(epoch=0, batch=3, step=3)
    training = SimpleNamespace(steps=3, recipe=SimpleNamespace(epochs=1), position=at, finished=True)
    bar.begin(training)
    at.epoch, at.batch, at.accuracy = 1, 0, 90.0
    bar.epoch(training)
    assert stream.getvalue().startswith("epoch 1/1: test accuracy 90.00 %, step 3/3")


@pytest.mark.parametrize(("waiting", "seconds", "workers", "said"), [
    (12.0, 100.0, 0, "12 % of the time went by in making batches. Where cores are idle, try --workers 1"),
    (12.0, 100.0, 2, "12 % of the time went by in waiting for batches. Where cores are idle, try --workers 3"),
    (5.0, 100.0, 0, ""), (50.0, 1000.0, 0, ""), (0.4, 2.0, 0, ""), (0.0, 0.0, 1, "")])
def test_waiting_is_worth_a_word_only_where_much_of_a_long_run_went_by_in_it(waiting, seconds, workers, said):
    assert progress.on_waiting(waiting, seconds, workers) == said


def test_memory_is_what_the_kernel_says():
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("only Linux has it in a file")
    held = np.ones(1 << 23)                                                                    # 64 MB that are touched
    said = int(re.search(r"VmRSS:\s*(\d+) kB", status.read_text())[1]) << 10
    assert abs(resident_bytes() - said) < 4 << 20 and resident_bytes() > held.nbytes


def test_accuracy_counts_first_of_equals_and_never_a_nan():
    scores = np.array([[1, 2, 0], [3, 3, 0], [0, 5, 5], [np.nan, 9, 0]], np.float32)
    batches = [(scores[:3], np.array([1, 1, 1])), (scores[3:], np.array([0]))]                    # argmax finds the NaN
    model = lambda x, train: tgc.Tensor(x.numpy())
    assert evaluate(model, batches) == (2, 4)
    assert evaluate(model, batches, lambda: True) is None
    assert accuracy_line(352, 360) == "test accuracy 97.78 % (352 of 360)" and accuracy_line(10, 10) == "test accuracy 100.00 % (10 of 10)"


def test_the_best_epoch_is_the_first_of_equals():
    """At this rate no weight moves by a bit, so every epoch is as good as the first."""
    recipe = Recipe("sgd", 1e-20, epochs=3, batch_size=28)
    at = train((Flatten() >> Dense(3)).build((7, 7, 1)), toy.data(), recipe, callbacks=())
    assert (at.epoch, at.best_epoch) == (3, 1) and at.best == at.accuracy
