"""Where was the first NaN born? In anomaly mode every result is checked, forward and backward."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from sys import _getframe
from types import FrameType
from typing import Any

import numpy as np

from tinygradconv.settings import settings
from tinygradconv.tensor import Tensor


class AnomalyError(ArithmeticError):
    """A NaN or an infinity was born; the message names the op and the source line."""


@contextlib.contextmanager
def anomaly() -> Iterator[None]:
    """Within the block, the first NaN or infinity that finite values give raises AnomalyError, with the op and source line.

    The same as the setting `anomaly` (TGC_ANOMALY=1). Every result is read once more, so it is slower.
    """
    with settings(anomaly=True):
        yield


_ours: dict[Any, bool] = {}               # module name: whether it belongs to this package


def users_frame() -> FrameType:
    """The innermost frame that is not this package's own: the line that a user wrote."""
    frame = _getframe()
    known: dict[Any, bool] = _ours
    while True:
        names: dict[str, Any] = frame.f_globals
        name = names.get("__name__", "")
        ours = known.get(name)
        if ours is None:
            ours = known[name] = str(name).partition(".")[0] == "tinygradconv"
        outer = frame.f_back if ours else None
        if outer is None:
            return frame
        frame = outer


def _finite(tensor: Tensor) -> bool:
    return tensor.dtype.kind != "f" or tensor.device == "abstract" or bool(np.isfinite(tensor.numpy()).all())


def _first(tensor: Tensor) -> str:
    """The first value that is not finite, and where it is."""
    values = tensor.numpy()
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    return f"{values[at]} at index {at} of shape {tensor.shape}"


def check_result(op: str, inputs: Sequence[Tensor], y: Tensor) -> None:
    """AnomalyError where finite inputs gave a y that is not."""
    if not _finite(y) and all(_finite(tensor) for tensor in inputs):
        frame = users_frame()
        raise AnomalyError(f"{op} at {frame.f_code.co_filename}:{frame.f_lineno}: finite inputs gave {_first(y)}")


def check_cotangent(op: str, line: str, name: str, g: Tensor, cotangent: Tensor) -> None:
    """AnomalyError where a finite cotangent g of y gave the input `name` one that is not."""
    if not _finite(cotangent) and _finite(g):
        raise AnomalyError(f"{op} at {line}: in the backward pass a finite cotangent gave {name} the gradient {_first(cotangent)}")
