"""What an explanation is made of: lines `name = a·b + c·d + … = value`, and the check of every line against the engine.

A `Sum` holds the numbers of a line and writes it, so that what is read is what was computed. All the arithmetic
here is Python's own, one product after another; the engine is asked only afterwards, by `check`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygradconv.tensor import DEFAULT_DTYPE, Tensor, as_array

from .text import number, product, total, wrapped

PRODUCT_LIMIT = 4000           # products in one explanation: more than anybody reads


class ExplanationError(AssertionError):
    """The arithmetic of an explanation and the engine disagree: one of the two is wrong. The message gives both values."""


@dataclass(frozen=True)
class Part:
    """Σ a·b over `factors`: what one channel (or filter, or image: `label`) adds to a sum. `symbols` name the factors."""

    label: str
    factors: tuple[tuple[float, float], ...]
    symbols: tuple[str, ...] = ()

    @cached_property
    def value(self) -> float:
        """Σ a·b."""
        return sum(a * b for a, b in self.factors)

    def __str__(self) -> str:
        return total([product(a, b) for a, b in self.factors])


@dataclass(frozen=True)
class Sum:
    """name = Σ parts + constant: one value of an output or of a gradient, at index `at` of its array.

    `heading` says of which image, channel or filter, where there are several.
    """

    name: str
    at: tuple[int, ...]
    parts: tuple[Part, ...]
    heading: str = ""
    constant: float | None = None

    @cached_property
    def value(self) -> float:
        """Σ parts + constant."""
        return sum(part.value for part in self.parts) + (self.constant or 0)

    @cached_property
    def magnitude(self) -> float:
        """Σ |a·b| + |constant|: what rounding errors are measured by."""
        return sum(abs(a * b) for part in self.parts for a, b in part.factors) + abs(self.constant or 0)

    @property
    def full_name(self) -> str:
        """The name, with the heading in front where there is one."""
        return f"{self.heading}, {self.name}" if self.heading else self.name

    def write(self, symbols: bool = False) -> str:
        """name = a·b + c·d = value; with several parts a line for each and their sum below, as the lecture adds up red, green and blue."""
        if not any(part.factors for part in self.parts):
            return f"{self.name} = 0: no window covers it"
        if len(self.parts) == 1:
            (part,) = self.parts
            named = f" = {' + '.join(part.symbols)}" if symbols and part.symbols else ""
            terms = [str(part)] + ([] if self.constant is None else [number(self.constant)])
            return wrapped(f"{self.name}{named} = {total(terms)} = {number(self.value)}")
        lines = [wrapped(f"  {part.label}: {part} = {number(part.value)}") for part in self.parts]
        terms = [number(part.value) for part in self.parts] + ([] if self.constant is None else [number(self.constant)])
        return "\n".join([f"{self.name}:", *lines, wrapped(f"  {self.name} = {total(terms)} = {number(self.value)}")])


def listing(sums: Sequence[Sum], *, symbols: bool = False) -> str:
    """All the sums, one under the other, with a line for each new heading. `symbols` names the factors where no sum has more than four."""
    short = symbols and all(len(s.parts) == 1 and len(s.parts[0].factors) <= 4 for s in sums)
    lines, heading = [], ""
    for s in sums:
        if s.heading != heading:
            heading = s.heading
            lines.append(f"{heading}:")
        lines.append(s.write(short))
    return "\n".join(lines)


def rounding_note(sums: Sequence[Sum]) -> str:
    """A line that says so where the numbers shown are rounded; nothing where all are whole."""
    factors = (factor for s in sums for part in s.parts for pair in part.factors for factor in pair)
    whole = all(float(v).is_integer() for v in factors) and all(float(v).is_integer() for s in sums for v in (s.constant or 0, s.value))
    return "" if whole else "Numbers are shown with four significant digits; the sums are of the numbers in full."


class Steps:
    """An explanation: `str()` is its text, so that it shows itself in a REPL or a notebook; its fields are the numbers."""

    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def show(self) -> None:
        """Print the text."""
        print(self.text)


def gather(sums: Iterable[Any], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The values of the sums as an array."""
    array = np.zeros(shape, dtype)
    for s in sums:
        array[s.at] = s.value
    return array


def check(where: str, op: str, sums: Sequence[Sum], engine: np.ndarray) -> None:
    """Raise ExplanationError unless the engine has the value of every sum, up to rounding, in an array without further cells.

    The bound is relative to the largest sum of magnitudes, and generous: a kernel may add in any order, and Winograd's form of a
    convolution rounds relative to the whole tile. What it must catch, a product left out, is far larger.
    """
    if len(sums) != engine.size:
        raise ExplanationError(f"{where}: {len(sums)} values by hand, but {op} gave an array {engine.shape}, which is {engine.size}")
    terms = max(sum(len(part.factors) for part in s.parts) for s in sums)
    bound = np.finfo(engine.dtype).eps * (terms + 64) * max(s.magnitude for s in sums) + np.finfo(engine.dtype).tiny
    for s in sums:
        got = float(engine[s.at])
        if not abs(got - s.value) <= bound:
            raise ExplanationError(f"{where}: {s.full_name} is {s.value!r} by hand, but {op} gave {got!r}. By hand: {s.write()}")


def as_values(where: str, **given: Any) -> tuple[np.dtype, dict[str, np.ndarray | None]]:
    """(dtype, arrays): the given values (None stays None) as finite arrays of the one floating dtype that the engine will work in.

    float32, unless there is a float64 array among them or an integer that float32 does not hold.
    """
    arrays = {}
    for name, value in given.items():
        try:
            arrays[name] = None if value is None else as_array(value.numpy() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError) as problem:
            raise TypeError(f"{where}: {name} must be a tensor, an array or nested lists of numbers; "
                            f"got {type(value).__name__}: {problem}") from None
        if arrays[name] is not None and not np.isfinite(arrays[name]).all():
            raise ValueError(f"{where}: {name} must be finite to be explained, and holds NaN or infinity")
    dtype = np.dtype(np.float64) if any(_needs_float64(a) for a in arrays.values() if a is not None) else DEFAULT_DTYPE
    return dtype, {name: None if a is None else a.astype(dtype) for name, a in arrays.items()}


def _needs_float64(array: np.ndarray) -> bool:
    narrow = array.astype(DEFAULT_DTYPE).astype(np.float64)
    return array.dtype == np.float64 or (array.dtype.kind != "f" and not np.array_equal(narrow, array))


def upstream(where: str, g: np.ndarray | None, shape: tuple[int, ...], full_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """∂E/∂O in the engine's shape: `g`, which must be shaped like the output as the caller sees it, or ones."""
    if g is None:
        return np.ones(full_shape, dtype)
    if g.shape != shape:
        raise ValueError(f"{where}: g is the gradient of the output and must have its shape {shape}, got {g.shape}")
    return g.reshape(full_shape)


def refuse_large(where: str, what: str, size: tuple[int, int], count: Callable[[int, int], int], crop: str) -> None:
    """ValueError where `count(H, W)` is above the limit, with the largest square crop that is below it, written as `crop` says."""
    asked = count(*size)
    if asked <= PRODUCT_LIMIT:
        return
    fitting = [side for side in range(1, max(size) + 1) if 0 < count(min(side, size[0]), min(side, size[1])) <= PRODUCT_LIMIT]
    cure = f"Crop the input, e.g. {crop.format(fitting[-1])}" if fitting else "Take fewer channels, fewer filters or a smaller window"
    raise ValueError(f"{where}: this would write out {asked:,} {what}, more than the limit of {PRODUCT_LIMIT:,}. {cure}")


def frozen(array: np.ndarray | None) -> np.ndarray | None:
    """The array, made read-only."""
    if array is not None:
        array.flags.writeable = False
    return array
