"""Judging a model by the test images."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.ops.elementwise import equal, isfinite, logical_and
from tinygradconv.ops.reduce import all as every
from tinygradconv.ops.reduce import argmax, sum
from tinygradconv.tensor import Tensor

from .weights import beside_weights, host


def evaluate(model: Callable[..., Tensor], batches: Iterable[tuple[Any, Any]],
             stopping: Callable[[], bool] = lambda: False) -> tuple[int, int] | None:
    """(correct, total): how many images get their highest score, the first where two are equal, for the class of their label.

    None where `stopping()` turned true on the way. A score that is NaN is never correct.
    """
    correct = total = 0
    with no_grad():
        for x, labels in batches:
            scores = model(beside_weights(model, x), train=False).numpy()
            correct += correct_of(scores, labels)
            total += len(labels)
            if stopping():
                return None
    return correct, total


def correct_of(scores: np.ndarray, labels: np.ndarray | Tensor) -> int:
    """How many rows of scores (N, classes) have their highest value, the first where two are equal, at the label's class.

    Labels (N,) are classes, or (N, classes) probabilities, whose highest counts. A row with a NaN or an infinity is never correct.
    """
    labels = host(labels)
    classes = labels if labels.ndim == 1 else labels.argmax(1)
    return int(np.sum((scores.argmax(1) == classes) & np.isfinite(scores).all(1)))


def correct_there(scores: Tensor, labels: Tensor) -> Tensor:
    """`correct_of` where the scores are, as a tensor () int64: nothing is read on the host."""
    with no_grad():
        classes = labels if labels.ndim == 1 else argmax(labels, 1)
        return sum(logical_and(equal(argmax(scores, 1), classes), every(isfinite(scores), 1)))


def accuracy_line(correct: int, total: int) -> str:
    """The last line of a training run: `test accuracy 97.78 % (352 of 360)`."""
    return f"test accuracy {100 * correct / total:.2f} % ({correct} of {total})"
