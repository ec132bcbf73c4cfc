"""The folder of a run as a callback: rows of the log, snapshots, the best weights."""
from __future__ import annotations

import math
import time

from .callbacks import Callback
from .progress import say
from .snapshot import Run
from .training import Training

SAVE_EVERY = 5.0              # seconds between snapshots within an epoch
LOG_EVERY = 100               # steps between rows of the log within an epoch


class Record(Callback):
    """Writes what a training does into its run's folder, and brings it back to where the newest snapshot stands.

    It is told before every other callback: what they see has been written, and where they begin is where it goes on.
    """

    def __init__(self, run: Run, save_every: float = SAVE_EVERY) -> None:
        self.run, self.save_every, self._saved = run, save_every, 0.0

    def begin(self, training: Training) -> None:
        """Go on from the run's newest snapshot; a run without one gets its first."""
        state, problems = self.run.go_on()
        for problem in problems:
            say(problem)
        if state is not None:
            training.restore(state)
        else:
            self.save(training)
        self._saved = time.monotonic()

    def looks(self) -> bool:
        """Whether it is time for a snapshot."""
        return time.monotonic() - self._saved >= self.save_every

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """A row every LOG_EVERY steps, but for an epoch's end, which has its own; a snapshot every few seconds."""
        at = training.position
        if at.step % LOG_EVERY == 0 and at.batch < len(training.loader):
            self._row(training, at.epoch, "")
        if not training.ahead and self.looks():
            self.save(training)

    def epoch(self, training: Training) -> None:
        """A row, the weights where they are the best so far, and a snapshot, which alone decides that all this has happened."""
        training.check()
        at = training.position
        self._row(training, at.epoch, f"{at.accuracy:.4f}")
        if at.best_epoch == at.epoch:
            self.run.save_best(training.weights(), at.epoch)
        self.save(training)

    def save(self, training: Training) -> None:
        """A snapshot now. LossError: the weights are not finite, and the one before still stands."""
        training.check()
        self.run.save(training.state())
        self._saved = time.monotonic()

    def _row(self, training: Training, epoch: int, accuracy: str) -> None:
        """One row of the log, with the mean loss and the training accuracy since the row before."""
        at = training.position
        loss = at.loss_sum / at.loss_count if at.loss_count else math.nan
        learned = f"{100 * at.correct_sum / at.images:.4f}" if at.images else ""
        self.run.log.add(epoch, at.step, f"{training.rate(at.step - 1):.6g}", f"{loss:.6f}", learned, accuracy, f"{at.seconds:.3f}")
        at.rows, at.loss_sum, at.loss_count, at.correct_sum, at.images = at.rows + 1, 0.0, 0, 0, 0
