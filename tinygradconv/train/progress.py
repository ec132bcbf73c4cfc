"""What one sees while a network learns: a bar on a terminal, a line now and then in a file."""
from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from .callbacks import Callback
from .training import Training

LINES_EVERY = 10.0               # seconds between lines where there is no terminal
NARROW = 76                      # columns below which the numbers need all the room that there is
NUMBERS = "step {n_fmt}/{total_fmt}{postfix}, {remaining} left"          # tqdm puts ", " before the postfix


def say(text: str) -> None:
    """One line from tinygradconv on standard error."""
    print(f"tinygradconv: {text}", file=sys.stderr, flush=True)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


class Progress(Callback):
    """Step, loss, images/s and time left, on `stream` (standard error): tqdm's bar on a terminal, else a line at most every 10 s."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.bar = None
        self.started = self.said = time.monotonic()
        self.first, self.images, self.losses = 0, 0, []

    def begin(self, training: Training) -> None:
        """Draw the bar as far as it has come."""
        self.first, self.started = training.position.step, time.monotonic()
        self.said = self.started
        if self.stream.isatty():
            from tqdm import tqdm
            tqdm.monitor_interval = 0            # no thread that wakes up while kernels run
            columns = _columns(self.stream)
            width = {"dynamic_ncols": True} if columns else {"ncols": 100}      # some terminals say that they have no columns
            self.bar = tqdm(total=training.steps, initial=self.first, file=self.stream, unit="step", mininterval=0.1, **width,
                            bar_format=NUMBERS if 0 < columns < NARROW else "{desc}{percentage:3.0f}% |{bar}| " + NUMBERS)

    def _rate(self) -> float:
        return self.images / max(time.monotonic() - self.started, 1e-9)

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """Show a step."""
        self.images += images
        self.losses.append(loss)
        epoch = f"epoch {training.position.epoch + 1}/{training.recipe.epochs}"
        if self.bar is not None:
            self.bar.set_description_str(f"{epoch} ", refresh=False)
            self.bar.set_postfix_str(f"loss {loss:.4f}, {self._rate():,.0f} images/s", refresh=False)
            self.bar.update()
        elif time.monotonic() - self.said >= LINES_EVERY:
            self._line(training, f"{epoch}: loss {loss:.4f}")

    def epoch(self, training: Training) -> None:
        """A line that stays, where there is a terminal."""
        at, loss = training.position, sum(self.losses) / max(len(self.losses), 1)
        text = f"epoch {at.epoch}/{training.recipe.epochs}: loss {loss:.4f}, test accuracy {at.accuracy:.2f} %"
        self.losses.clear()
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        elif time.monotonic() - self.said >= LINES_EVERY or training.finished:
            self._line(training, text)

    def _line(self, training: Training, text: str) -> None:
        self.said = time.monotonic()
        at = training.position.step
        done = at - self.first
        left = (self.said - self.started) / done * (training.steps - at) if done else 0.0
        print(f"{text}, step {at}/{training.steps}, {self._rate():,.0f} images/s, {left:.0f} s left", file=self.stream, flush=True)

    def end(self, training: Training) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()
