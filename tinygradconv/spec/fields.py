"""The fields of layers: what each argument may be, checked when a layer is made, and settled to one way of writing it.

A check gets the layer's name, the argument's name and the value, and returns the value to keep: NumPy integers become
Python's, (5, 5) becomes 5, lists become tuples. So layers that mean the same are equal.
"""
from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygradconv import geometry

LARGEST = 2 ** 24          # no size in a network comes near it; JSON from a stranger might

Check = Callable[[str, str, Any], Any]


def _field(check: Check, default: Any) -> Any:
    return dataclasses.field(default=default, metadata={"check": check})


def settle(value: Any) -> None:
    """Check each field of a frozen dataclass that has a check, and keep what it returns: for use as __post_init__."""
    for field in dataclasses.fields(value):
        check = field.metadata.get("check")
        if check is not None:
            object.__setattr__(value, field.name, check(type(value).__name__, field.name, getattr(value, field.name)))


def whole(where: str, name: str, value: Any, at_least: int = 1) -> int:
    """`value` as a Python integer from `at_least` to LARGEST."""
    return geometry.integer(name, value, at_least=at_least, at_most=LARGEST, where=where)


def several(where: str, name: str, value: Any, at_least: int = 1) -> int | tuple[int, int]:
    """One integer, or two that differ (rows, columns)."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{where}: {name} must be one integer or two (rows, columns), got {value!r}")
        rows, columns = (whole(where, name, one, at_least) for one in value)
        return rows if rows == columns else (rows, columns)
    return whole(where, name, value, at_least)


def size(default: Any = dataclasses.MISSING, *, at_least: int = 1) -> Any:
    """A field that is one integer."""
    return _field(lambda where, name, value: whole(where, name, value, at_least), default)


def pair(default: Any = dataclasses.MISSING, *, at_least: int = 1) -> Any:
    """A field that is one integer for rows and columns, or two."""
    return _field(lambda where, name, value: several(where, name, value, at_least), default)


def stride_field(default: Any = None, *, axes: int = 2) -> Any:
    """A stride, or None for windows side by side."""
    one = several if axes == 2 else whole
    return _field(lambda where, name, value: None if value is None else one(where, name, value), default)


def padding_field(default: Any = 0) -> Any:
    """Padding of an image: an integer, (rows, columns), ((top, bottom), (left, right)), 'same' or 'valid'."""
    return _field(padding, default)


def padding(where: str, name: str, value: Any) -> Any:
    """Padding of an image, written in the shortest of its ways."""
    if isinstance(value, str):
        return _word(where, name, value)
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(one, (tuple, list)) for one in value):
        (top, bottom), (left, right) = (_before_after(where, name, one) for one in value)
        return several(where, name, (top, left), 0) if (top, left) == (bottom, right) else ((top, bottom), (left, right))
    return several(where, name, value, 0)


def padding1d_field(default: Any = 0) -> Any:
    """Padding of a sequence: an integer, (before, after), 'same' or 'valid'."""
    return _field(_padding1d, default)


def _padding1d(where: str, name: str, value: Any) -> Any:
    if isinstance(value, str):
        return _word(where, name, value)
    if isinstance(value, (tuple, list)):
        before, after = _before_after(where, name, value)
        return before if before == after else (before, after)
    return whole(where, name, value, 0)


def _before_after(where: str, name: str, value: Any) -> tuple[int, int]:
    if len(value) != 2:
        raise ValueError(f"{where}: {name} must be one integer or two (before, after), got {value!r}")
    return whole(where, name, value[0], 0), whole(where, name, value[1], 0)


def _word(where: str, name: str, value: str) -> str | int:
    if value not in ("same", "valid"):
        raise ValueError(f"{where}: {name} must be integers, 'same' or 'valid', got {value!r}")
    return value if value == "same" else 0


def finite(where: str, name: str, value: Any) -> float:
    """`value` as a finite Python float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{where}: {name} must be a number, got {geometry.described(value)}")
    try:
        settled = float(value)
    except OverflowError:                            # an integer beyond the largest float
        settled = math.inf
    if not math.isfinite(settled):
        raise ValueError(f"{where}: {name} must be finite, got {shortened(value)}")
    return settled


def number(default: Any = dataclasses.MISSING, *, above: float = -math.inf, at_least: float = -math.inf, below: float = math.inf,
           at_most: float = math.inf) -> Any:
    """A field that is a finite number within the bounds."""
    def check(where: str, name: str, value: Any) -> float:
        settled = finite(where, name, value)
        for holds, said in ((settled > above, f"above {above:g}"), (settled >= at_least, f"at least {at_least:g}"),
                            (settled < below, f"below {below:g}"), (settled <= at_most, f"at most {at_most:g}")):
            if not holds:
                raise ValueError(f"{where}: {name} must be {said}, got {value!r}")
        return settled
    return _field(check, default)


def floating_dtype(where: str, dtype: Any) -> np.dtype:
    """`dtype` as float32 or float64."""
    try:
        settled = None if dtype is None else np.dtype(dtype)           # NumPy takes None for float64
    except TypeError:
        settled = None
    if settled not in (np.float32, np.float64):
        raise TypeError(f"{where}: dtype must be float32 or float64, got {settled or repr(dtype)}")
    return settled


def flag(default: bool) -> Any:
    """A field that is True or False."""
    def check(where: str, name: str, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{where}: {name} must be True or False, got {value!r}")
        return bool(value)
    return _field(check, default)


def choice(default: Any, check: Check) -> Any:
    """A field with a check of its own."""
    return _field(check, default)


def input_shape(where: str, shape: Any) -> tuple[int, ...]:
    """`shape` as one to three lengths of at least 1: (height, width, channels), (length, channels) or (features,)."""
    if not isinstance(shape, (tuple, list)) or not 1 <= len(shape) <= 3:
        got = f"an array of shape {shape.shape}" if hasattr(shape, "shape") else shortened(shape)
        raise ValueError(f"{where} must be (height, width, channels), (length, channels) or (features,), got {got}{_cure(shape)}")
    return tuple(whole(where, "a length", n) for n in shape)


def _cure(shape: Any) -> str:
    """What to write for something that is not the shape of one input."""
    if hasattr(shape, "shape"):
        return ". Give the shape of one: x.shape[1:]"
    if isinstance(shape, int):
        return f". For vectors of {shape} values write ({shape},)"
    if not isinstance(shape, (tuple, list)) or len(shape) != 4:
        return ""
    _, *image = shape
    first = image[0] in (1, 3) and image[2] not in (1, 3)
    return f". Leave the batch axis out{', channels last' if first else ''}: {(*image[1:], image[0]) if first else tuple(image)}"


def shortened(value: Any) -> str:
    """repr(value), but not more of it than fits into a line."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10 ** 100 else f"an integer of {value.bit_length():,} bits"
    return text if len(text) <= 60 else text[:57] + "…"
