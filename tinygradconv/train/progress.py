"""What one sees while a network learns: a bar on a terminal, a line now and then in a file."""
from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from tinygradconv.backends import memory_statistics

from .callbacks import Callback
from .memory import MEGABYTE, resident_bytes

if TYPE_CHECKING:
    from .training import Training

LINES_EVERY = 10.0               # seconds between lines where there is no terminal
SHOWN_EVERY = 0.1                # and between two states of the bar
COLUMNS = 100                    # of a terminal that does not say how many it has
BAR = 17                         # columns that percentage and bar need at least
WAITED = 0.05, 10.0              # the share of the time, and the seconds, from which on waiting for batches is worth a word
# What is left out where there is no room, last first; shown in the order of `_numbers`.
WORTH = ("step", "loss", "left", "accuracy", "ms", "images", "epoch", "memory")


def say(text: str) -> None:
    """One line from tinygradconv on standard error."""
    print(f"tinygradconv: {text}", file=sys.stderr, flush=True)


def on_waiting(waiting: float, seconds: float, workers: int) -> str:
    """What is said of a training of so many seconds that waited for batches, made by so many workers, in `waiting` of them; "" where
    that was little: nobody minds ten seconds, and in a run of some seconds the share is chance.
    """
    share, least = WAITED
    if waiting <= share * seconds or waiting < least:
        return ""
    return (f"{100 * waiting / seconds:.0f} % of the time went by in {'waiting for' if workers else 'making'} batches. "
            f"Where cores are idle, try --workers {workers + 1}")


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or COLUMNS
    except (OSError, ValueError):
        return COLUMNS


def _clock(seconds: float) -> str:
    """4:05, or 1:04:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress(Callback):
    """Epoch, step, loss, training accuracy, ms/step, images/s, time left and memory, on `stream` (standard error).

    On a terminal it is tqdm's bar, with as many of the numbers as there is room for; elsewhere a line at most every 10 s. The loss is the
    last step's, the accuracy that of the epoch so far. ms/step and images/s are means since training began, or went on: with the time that
    batches were waited for, without that of the tests after epochs. The memory is the process's now, and the most that was in use in the
    pool of arrays of the model's device.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.bar = None

    def begin(self, training: Training) -> None:
        """Draw the bar as far as it has come."""
        self.first, self.first_seconds = training.position.step, training.position.seconds
        self.started = self.shown = time.monotonic()
        self.images, self.loss = 0, 0.0
        self._forget()
        if self.stream.isatty():
            from tqdm import tqdm
            tqdm.monitor_interval = 0            # no thread that wakes up while kernels run
            self.bar = tqdm(total=training.steps, initial=self.first, file=self.stream, bar_format="{desc}")
            self._draw(training)

    def _forget(self) -> None:
        """Of the epoch so far: images, how many of them were right, losses."""
        self.seen = self.right = self.losses = 0
        self.loss_sum = 0.0

    def looks(self) -> bool:
        """No: the position is enough."""
        return False

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """Take note of a step, and show it where it is time to."""
        if training.position.batch == 1:
            self._forget()
        self.images, self.loss, self.seen, self.right = self.images + images, loss, self.seen + images, self.right + correct
        self.loss_sum, self.losses = self.loss_sum + loss, self.losses + 1
        waited = time.monotonic() - self.shown
        if self.bar is not None and (waited >= SHOWN_EVERY or training.position.step == training.steps):
            self._draw(training)
        elif self.bar is None and waited >= LINES_EVERY:
            self._line(training, ", ".join(self._numbers(training).values()))

    def epoch(self, training: Training) -> None:
        """A line that stays, where there is a terminal."""
        at = training.position
        learned = ""                                      # a run may go on where only the test of an epoch is left
        if self.losses:
            learned = f"loss {self.loss_sum / self.losses:.4f}, training accuracy {100 * self.right / self.seen:.2f} %, "
        text = f"epoch {at.epoch}/{training.recipe.epochs}: {learned}test accuracy {at.accuracy:.2f} %"
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
            self._draw(training)
        elif time.monotonic() - self.shown >= LINES_EVERY or training.finished:
            rest = [said for name, said in self._numbers(training).items() if name not in ("epoch", "loss", "accuracy")]
            self._line(training, ", ".join([text, *rest]))

    def _numbers(self, training: Training) -> dict[str, str]:
        """What there is to show, by name, in the order in which it is shown; before the first step that is little."""
        at, done = training.position, training.position.step - self.first
        where = {"epoch": f"epoch {at.epoch + (at.batch > 0 or not at.epoch)}/{training.recipe.epochs}",
                 "step": f"step {at.step}/{training.steps}"}
        if not done:
            return where
        seconds = max(at.seconds - self.first_seconds, 1e-9)
        each = 1000 * seconds / done
        left = (time.monotonic() - self.started) / done * (training.steps - at.step)
        return {**where, "loss": f"loss {self.loss:.4f}", "accuracy": f"accuracy {100 * self.right / max(self.seen, 1):.1f} %",
                "ms": f"{each:,.{2 if each < 10 else 0}f} ms/step", "images": f"{self.images / seconds:,.0f} images/s",
                "left": f"{_clock(left)} left", "memory": _memory(training)}

    def _draw(self, training: Training) -> None:
        """The bar as it is now: numbers that fit into the terminal, and a bar where there is room left."""
        self.shown = time.monotonic()
        columns, numbers = _columns(self.stream), self._numbers(training)
        room, chosen = columns - 1, []
        for name in (name for name in WORTH if name in numbers):
            if len(numbers[name]) + 2 <= room + 2 * (not chosen):
                chosen.append(name)
                room -= len(numbers[name]) + 2
        text = ", ".join(said for name, said in numbers.items() if name in chosen)
        self.bar.bar_format = "{percentage:3.0f}% |{bar}| {desc}" if room >= BAR else "{desc}"
        self.bar.ncols, self.bar.n = columns - 1, training.position.step
        self.bar.set_description_str(text)

    def _line(self, training: Training, text: str) -> None:
        self.shown = time.monotonic()
        print(text, file=self.stream, flush=True)

    def end(self, training: Training) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self._draw(training)
            self.bar.close()


def _memory(training: Training) -> str:
    device = next((p.device for p in training.model.parameters.values()), "cpu")
    host, pool = resident_bytes(), memory_statistics(device)["peak"]
    return f"{f'memory {host // MEGABYTE:,} MB, ' if host else ''}pool {pool // MEGABYTE:,} MB"
