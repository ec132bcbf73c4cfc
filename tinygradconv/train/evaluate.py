"""Judging a model by the test images."""
from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.tensor import Tensor


def evaluate(model: Callable[..., Tensor], batches: Iterable[tuple[np.ndarray, np.ndarray]],
             stopping: Callable[[], bool] = lambda: False) -> tuple[int, int] | None:
    """(correct, total): how many images get their highest score, the first where two are equal, for the class of their label.

    None where `stopping()` turned true on the way. A score that is NaN is never correct.
    """
    correct = total = 0
    with no_grad():
        for x, labels in batches:
            scores = model(Tensor.of(x), train=False).numpy()
            correct += int(np.sum((scores.argmax(1) == labels) & np.isfinite(scores).all(1)))
            total += len(labels)
            if stopping():
                return None
    return correct, total


def accuracy_line(correct: int, total: int) -> str:
    """The last line of a training run: `test accuracy 97.78 % (352 of 360)`."""
    return f"test accuracy {100 * correct / total:.2f} % ({correct} of {total})"
