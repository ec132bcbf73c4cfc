"""Scalars for TensorBoard: loss, accuracies, rate, images/s and ms/step, in event files that tensorboardX writes."""
from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygradconv.geometry import integer

from .callbacks import Callback

if TYPE_CHECKING:
    from .training import Training

EVERY = 20                    # steps from one point to the next


def need_tensorboardx() -> None:
    """ImportError, which names the extra, where tensorboardX is not installed."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise ImportError("event files for TensorBoard are written by tensorboardX: pip install 'tinygradconv[tensorboard]'. Or train "
                          "without them: log.csv has the losses and accuracies too") from None


class TensorBoard(Callback):
    """Writes into `folder`: `tensorboard --logdir FOLDER` shows it, while the training goes on and afterwards.

    loss/training, accuracy/training (%)    means since the point before, every `every` steps, counted from the beginning of the training
    learning rate, images per second, ms per step       at the same steps
    accuracy/test (%)                       after every epoch

    A run that goes on says at which step it does, by an event that makes TensorBoard drop what an earlier sitting wrote of later steps: no
    step is there twice. ImportError: tensorboardX is not installed. OSError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, every: int = EVERY) -> None:
        need_tensorboardx()
        self.folder, self.every = Path(folder), integer("every", every, at_least=1, where="TensorBoard")
        self._file: Any = None
        self._forget(0.0)

    def begin(self, training: Training) -> None:
        """A new event file, which says from which step on older ones do not count."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        at = training.position
        # Files are read in the order of their names: by the second, and within one by the step.
        path = self.folder / f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{at.step:012d}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "wb", buffering=0)
        except OSError as problem:
            raise type(problem)(f"cannot write {path}: {problem.strerror or problem}") from None
        self._event(Event(file_version="brain.Event:2"))
        self._event(Event(step=at.step + 1, session_log=SessionLog(status=SessionLog.START)))
        self._forget(at.seconds)

    def looks(self) -> bool:
        """No: the position is enough."""
        return False

    def step(self, training: Training, loss: float, images: int, correct: int) -> None:
        """Count; write a point at every `every`-th step."""
        self._loss, self._steps, self._images, self._correct = (
            self._loss + loss, self._steps + 1, self._images + images, self._correct + correct)
        at = training.position
        if at.step % self.every:
            return
        seconds = max(at.seconds - self._since, 1e-9)
        self._scalars(at.step, {"loss/training": self._loss / self._steps, "accuracy/training (%)": 100 * self._correct / self._images,
                              "learning rate": training.rate(at.step - 1), "images per second": self._images / seconds,
                              "ms per step": 1000 * seconds / self._steps})
        self._forget(at.seconds)

    def epoch(self, training: Training) -> None:
        """Write the test accuracy."""
        self._scalars(training.position.step, {"accuracy/test (%)": training.position.accuracy})

    def end(self, training: Training) -> None:
        """Close the file."""
        self._file.close()

    def _forget(self, seconds: float) -> None:
        """Begin to count anew, when so many seconds have been trained."""
        self._loss, self._steps, self._images, self._correct, self._since = 0.0, 0, 0, 0, seconds

    def _scalars(self, step: int, scalars: dict[str, float]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
        self._event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=x) for tag, x in scalars.items()])))

    def _event(self, event: Any) -> None:
        """Append one event, in one write: length, its checksum, the event, its checksum (TensorFlow's TFRecord).

        tensorboardX's own writer would hand it to a thread, from which a kill takes it, or wait for the disk each time.
        """
        from tensorboardX.record_writer import masked_crc32c
        event.wall_time = time.time()
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        record = length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))
        if self._file.write(record) != len(record):
            raise OSError(f"cannot write {self._file.name}: No space left on device. Leave out --tensorboard to train without it")
