"""What one sees while a network learns: a bar on a terminal, a line now and then in a file."""
from __future__ import annotations

import os
import sys
import time
from typing import TextIO

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


class Progress:
    """Step, loss, images/s and time left, on `stream` (standard error): tqdm's bar on a terminal, else a line at most every 10 s."""

    def __init__(self, steps: int, epochs: int, done: int = 0, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.steps, self.epochs, self.done = steps, epochs, done
        self.started = self.said = time.monotonic()
        self.first, self.images = done, 0
        self.bar = None
        if self.stream.isatty():
            from tqdm import tqdm
            tqdm.monitor_interval = 0            # no thread that wakes up while kernels run
            columns = _columns(self.stream)
            width = {"dynamic_ncols": True} if columns else {"ncols": 100}      # some terminals say that they have no columns
            self.bar = tqdm(total=steps, initial=done, file=self.stream, unit="step", mininterval=0.1, **width,
                            bar_format=NUMBERS if 0 < columns < NARROW else "{desc}{percentage:3.0f}% |{bar}| " + NUMBERS)

    def _rate(self) -> float:
        return self.images / max(time.monotonic() - self.started, 1e-9)

    def step(self, epoch: int, loss: float, images: int) -> None:
        """One step is done, in epoch `epoch` (from 0), with this loss, over this many images."""
        self.done += 1
        self.images += images
        if self.bar is not None:
            self.bar.set_description_str(f"epoch {epoch + 1}/{self.epochs} ", refresh=False)
            self.bar.set_postfix_str(f"loss {loss:.4f}, {self._rate():,.0f} images/s", refresh=False)
            self.bar.update()
        elif time.monotonic() - self.said >= LINES_EVERY:
            self._line(f"epoch {epoch + 1}/{self.epochs}", loss)

    def epoch(self, epoch: int, loss: float, accuracy: float) -> None:
        """An epoch (from 0) has ended with this mean loss and this test accuracy in %."""
        text = f"epoch {epoch + 1}/{self.epochs}: loss {loss:.4f}, test accuracy {accuracy:.2f} %"
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        elif time.monotonic() - self.said >= LINES_EVERY or epoch + 1 == self.epochs:
            self._line(text, None)

    def _line(self, text: str, loss: float | None) -> None:
        self.said = time.monotonic()
        done = self.done - self.first
        left = (self.said - self.started) / done * (self.steps - self.done) if done else 0.0
        seen = "" if loss is None else f": loss {loss:.4f}"
        print(f"{text}{seen}, step {self.done}/{self.steps}, {self._rate():,.0f} images/s, {left:.0f} s left", file=self.stream, flush=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()
