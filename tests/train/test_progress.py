"""What one sees of a run: a bar where there is a terminal, a line now and then where there is none, and how a model is judged."""
from __future__ import annotations

import io
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.spec import Dense, Flatten
from tinygradconv.train import progress
from tinygradconv.train.evaluate import accuracy_line, evaluate
from tinygradconv.train.loop import train
from tinygradconv.train.progress import Progress
from tinygradconv.train.recipe import Recipe
from tinygradconv.train.snapshot import Position

from . import toy


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream: io.StringIO) -> str:
    bar, at = Progress(stream), Position()
    training = SimpleNamespace(steps=6, recipe=SimpleNamespace(epochs=2), position=at, finished=False)
    bar.begin(training)
    for step in range(6):
        at.step = step + 1
        bar.step(training, 1.5 - step / 10, 32, 24)
        if step % 3 == 2:
            at.epoch, at.accuracy, training.finished = at.epoch + 1, 90.0, step == 5
            bar.epoch(training)
    bar.end(training)
    return stream.getvalue()


def test_a_terminal_shows_step_loss_images_per_second_and_time_left():
    text = show(Terminal())
    for words in ("step 6/6", "loss 1.0000", "images/s", "left", "epoch 1/2: loss 1.4000, test accuracy 90.00 %", "\r"):
        assert words in text


@pytest.mark.parametrize(("columns", "shown"), [(80, r"epoch 2/2 100% \|[█#]+\| "), (60, "")])
def test_a_terminal_has_room_for_all_the_numbers(monkeypatch, columns, shown):
    monkeypatch.setattr(progress, "_columns", lambda stream: columns)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda stream: (columns, 24))
    last = show(Terminal()).rstrip().rsplit("\r", 1)[1]
    assert re.fullmatch(shown + r"step 6/6, loss 1\.0000, [\d,]+ images/s, 00:00 left", last.strip()) and len(last) <= columns, last


def test_a_file_gets_few_lines(monkeypatch):
    text = show(io.StringIO())
    assert text.startswith("epoch 2/2: loss 1.1000, test accuracy 90.00 %, step 6/6, ") and len(text.splitlines()) == 1 and "\r" not in text
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    lines = show(io.StringIO()).splitlines()
    assert len(lines) == 8 and lines[1].startswith("epoch 1/2: loss 1.4000, step 2/6, ") and lines[1].endswith("s left")


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
    at = train((Flatten() >> Dense(3)).build((7, 7, 1)), toy.data(), recipe)
    assert (at.epoch, at.best_epoch) == (3, 1) and at.best == at.accuracy
