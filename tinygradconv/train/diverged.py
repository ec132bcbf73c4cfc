"""A training that diverges is stopped, with the op that made the first NaN or infinity."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygradconv.anomaly import AnomalyError, anomaly
from tinygradconv.autodiff import no_grad
from tinygradconv.ops.elementwise import isfinite
from tinygradconv.ops.join import concat
from tinygradconv.tensor import Tensor


class LossError(ArithmeticError):
    """The loss, a gradient or a weight became NaN or infinite; the message says when, which op made it, and what to try."""


def unsound(gradients: Mapping[str, Tensor]) -> str:
    """"the gradient of fc.weight is nan at index (3, 1)": the last in the order of the layers, where backward came first; "" of none.

    An array is looked at only where its sum is not finite: one quick call for each, since every step asks. On a GPU the sums are taken
    there, and come back together.
    """
    if any(g.device == "cuda" for g in gradients.values()):
        with no_grad():
            if isfinite(concat([g.sum().reshape(1) for g in gradients.values()])).all().item():
                return ""
    with np.errstate(all="ignore"):
        for path, g in reversed(gradients.items()):
            values = g.numpy()
            if not math.isfinite(np.add.reduce(values, axis=None)) and (said := _first(values)):
                return f"the gradient of {path} is {said}"
    return ""


def check_weights(weights: Mapping[str, np.ndarray], when: str) -> None:
    """LossError where a weight or buffer is not finite: an update that was too large made it, and nothing can be learned from there."""
    for path, array in weights.items():
        if said := _first(array):
            raise LossError(f"{path} is {said} {when}: the update was too large. Try a smaller rate, or clip the gradients")


def _first(array: np.ndarray) -> str:
    """The first value that is not finite, and where it is; or nothing."""
    finite = np.isfinite(array)
    if finite.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~finite)[0])
    return f"{array[at]} at index {at}" if at else str(array)


def born(again: Callable[[], Any], images: np.ndarray, weights: Mapping[str, np.ndarray]) -> str:
    """Where the first NaN or infinity comes from when `again` computes the same once more, in anomaly mode: op, layer and line."""
    for path, array in {"an image of the batch": images, **weights}.items():
        if said := _first(array):
            return f"{path} is {said} already"
    try:
        with anomaly():
            again()
    except AnomalyError as problem:
        return ", ".join([str(problem), *getattr(problem, "__notes__", ())])
    return "computed again, every op gives finite values"
