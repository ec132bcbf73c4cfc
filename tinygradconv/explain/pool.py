"""Max pooling written out: each window's numbers, which of them wins, and where the gradient goes.

The maximum depends on one number alone, so the whole gradient of a window goes to the cell that won and the others get
zero. The first in the window (row by row) wins a tie; padding never wins.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as every
from typing import Any

import numpy as np

from tinygradconv import autodiff
from tinygradconv.geometry import Padding, Pair, WindowGeometry
from tinygradconv.ops import pool as engine
from tinygradconv.tensor import Tensor

from .steps import ExplanationError, Part, Steps, Sum, as_values, check, frozen, gather, refuse_large, upstream
from .text import SIZE_RULE, cell, matrix, number, places, total, wrapped

WHERE = "explain.max_pool2d"


@dataclass(frozen=True)
class Window:
    """One window: its numbers inside the image with their cells (iy, ix), row by row, the winner among them, and its upstream gradient."""

    name: str
    at: tuple[int, ...]
    values: tuple[float, ...]
    cells: tuple[tuple[int, int], ...]
    padding: int
    gradient: float
    heading: str = ""

    @property
    def best(self) -> int | None:
        """Which of the values wins: the first of the largest. None where the window lies wholly in the padding."""
        best = None
        for i, value in enumerate(self.values):
            if best is None or value > self.values[best]:
                best = i
        return best

    @property
    def value(self) -> float:
        """The maximum; −∞ of a window without numbers."""
        return -float("inf") if self.best is None else self.values[self.best]

    @property
    def winner(self) -> tuple[int, int] | None:
        """The cell that won, counted from 0, or None."""
        return None if self.best is None else self.cells[self.best]

    def write(self) -> str:
        """O11 = max(3, 0, 1, 5) = 5, which is X22."""
        if self.winner is None:
            return f"{self.name} = max() = −∞: this window lies wholly in the padding and passes no gradient on"
        equal = self.values.count(self.value)
        tie = f", the first of {equal} equals" if equal > 1 else ""
        outside = f" ({self.padding} outside X)" if self.padding else ""
        numbers = ", ".join(map(number, self.values))
        return wrapped(f"{self.name} = max({numbers}){outside} = {number(self.value)}, which is {cell('X', *self.winner)}{tie}")

    def write_gradient(self) -> str:
        """∂E/∂O11 = 1 goes to X22."""
        to = "no cell" if self.winner is None else cell("X", *self.winner)
        return f"{cell('∂E/∂O', *self.at[1:3])} = {number(self.gradient)} goes to {to}"


@dataclass(frozen=True, repr=False, eq=False)
class MaxPool2dSteps(Steps):
    """The steps of a max pooling; see explain.max_pool2d. y, g and grad_input are read-only and have the axes of x.

    `windows` holds each window's numbers and winner, in the order of the text.
    """

    text: str
    y: np.ndarray
    g: np.ndarray
    grad_input: np.ndarray
    windows: tuple[Window, ...]


def max_pool2d(x: Any, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0, dilation: Pair = 1, ceil_mode: bool = False,
               g: Any = None) -> MaxPool2dSteps:
    """Every window of a max pooling, its winner and its gradient, as text that shows itself; each number is checked against the engine.

    x (H, W), (H, W, C) or (N, H, W, C); the upstream gradient `g` has the shape of the output, with the axes that x has, and is all ones
    where it is not given. Other arguments are those of max_pool2d. ValueError above 4,000 numbers; ExplanationError where the engine
    finds another maximum or sends a gradient elsewhere.

    >>> print(max_pool2d([[3, 0], [1, 5]], 2).windows[0].write())
    O11 = max(3, 0, 1, 5) = 5, which is X22
    """
    dtype, given = as_values(WHERE, x=x, g=g)
    axes = given["x"].ndim
    if not 2 <= axes <= 4:
        raise ValueError(f"{WHERE}: x must have two, three or four axes, (H, W), (H, W, C) or (N, H, W, C), got shape {given['x'].shape}")
    x4 = given["x"].reshape({2: (1, *given["x"].shape, 1), 3: (1, *given["x"].shape), 4: given["x"].shape}[axes])
    options = dict(stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    geo = WindowGeometry.of(WHERE, x4.shape, kernel_size, **options)
    _refuse_large(geo, kernel_size, axes, options)
    y_shape = geo.y_shape[axes < 4:3 if axes == 2 else 4]
    g4 = upstream(WHERE, given["g"], y_shape, geo.y_shape, dtype)

    y, grad_input = _engine(x4, g4, kernel_size, options)
    windows = tuple(_windows(x4, g4, geo))
    gradients = tuple(_gradients(windows, geo))
    _check_maxima(windows, y)
    check(WHERE, "max_pool2d's gradient of x", gradients, grad_input)

    made = gather(windows, geo.y_shape, dtype)
    text = _text(x4, made, g4, geo, windows, gradients, ceil_mode)
    return MaxPool2dSteps(text, frozen(made.reshape(y_shape)), frozen(g4.reshape(y_shape)),
                          frozen(gather(gradients, geo.x_shape, dtype).reshape(given["x"].shape)), windows)


def _refuse_large(geo: WindowGeometry, kernel_size: Pair, axes: int, options: dict[str, Any]) -> None:
    def count(height: int, width: int) -> int:
        try:
            smaller = WindowGeometry.of(WHERE, (geo.N, height, width, geo.C), kernel_size, **options)
        except ValueError:                            # the window does not fit any more
            return 0
        return geo.N * smaller.OH * smaller.OW * geo.C * geo.kh * geo.kw

    refuse_large(WHERE, "numbers", (geo.H, geo.W), count, "x[:, :{0}, :{0}]" if axes == 4 else "x[:{0}, :{0}]")


def _engine(x: np.ndarray, g: np.ndarray, kernel_size: Pair, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What the engine says: the output, and its gradient by x."""
    x = Tensor(x, requires_grad=True)
    with autodiff.no_grad(off=False):
        y = engine.max_pool2d(x, kernel_size, **options)
        return y.numpy(), autodiff.grad(y, x, g).numpy()


def _windows(x: np.ndarray, g: np.ndarray, geo: WindowGeometry) -> Iterator[Window]:
    X, G = x.tolist(), g.tolist()
    for n, c, oy, ox in every(range(geo.N), range(geo.C), range(geo.OH), range(geo.OW)):
        covered = [(geo.sy * oy + geo.dy * ky - geo.top, geo.sx * ox + geo.dx * kx - geo.left)
                   for ky, kx in every(range(geo.kh), range(geo.kw))]
        inside = tuple((iy, ix) for iy, ix in covered if 0 <= iy < geo.H and 0 <= ix < geo.W)
        yield Window(cell("O", oy, ox), (n, oy, ox, c), tuple(X[n][iy][ix][c] for iy, ix in inside), inside, len(covered) - len(inside),
                     G[n][oy][ox][c], _of(n, c, geo))


def _of(n: int, c: int, geo: WindowGeometry) -> str:
    return ", ".join(f"{name} {index + 1}" for name, index, count in (("image", n, geo.N), ("channel", c, geo.C)) if count > 1)


def _gradients(windows: Sequence[Window], geo: WindowGeometry) -> Iterator[Sum]:
    """∂E/∂X[n, iy, ix, c] = Σ ∂E/∂O over the windows that the cell won."""
    won: dict[tuple[int, ...], list[Window]] = {}
    for window in windows:
        if window.winner is not None:
            won.setdefault((window.at[0], *window.winner, window.at[3]), []).append(window)
    for at in every(range(geo.N), range(geo.H), range(geo.W), range(geo.C)):
        n, iy, ix, c = at
        factors = tuple((window.gradient, 1) for window in won.get(at, ()))
        symbols = tuple(cell("∂E/∂O", *window.at[1:3]) for window in won.get(at, ()))
        yield Sum(cell("∂E/∂X", iy, ix), at, (Part("", factors, symbols),), _of(n, c, geo))


def _check_maxima(windows: Sequence[Window], engine_y: np.ndarray) -> None:
    """A maximum is one of its numbers: the engine must have it to the last bit."""
    if len(windows) != engine_y.size:
        raise ExplanationError(f"{WHERE}: {len(windows)} windows by hand, but max_pool2d gave an array {engine_y.shape}: {engine_y.size}")
    for window in windows:
        got = float(engine_y[window.at])
        if got != window.value:
            of = f"{window.heading}, " if window.heading else ""
            raise ExplanationError(f"{WHERE}: {of}{window.name} is {window.value!r} by hand, but max_pool2d gave {got!r}. "
                                   f"By hand: {window.write()}")


def _text(x: np.ndarray, y: np.ndarray, g: np.ndarray, geo: WindowGeometry, windows: Sequence[Window], gradients: Sequence[Sum],
          ceil_mode: bool) -> str:
    lines = [f"MAX POOLING of X {geo.H}×{geo.W} with windows of {geo.kh}×{geo.kw}: O {geo.OH}×{geo.OW}", SIZE_RULE,
             f"rows    {places(geo.H, geo.top, geo.bottom, geo.span[0], geo.sy, geo.OH, ceil_mode)}",
             f"columns {places(geo.W, geo.left, geo.right, geo.span[1], geo.sx, geo.OW, ceil_mode)}"]
    grad_input = gather(gradients, geo.x_shape, x.dtype)
    for n, c in every(range(geo.N), range(geo.C)):
        of = _of(n, c, geo)
        lines += ["", f"{of}:"] if of else []
        lines += _channel_text(*[array[n, :, :, c].tolist() for array in (x, y, g, grad_input)],
                               [w for w in windows if (w.at[0], w.at[3]) == (n, c)], [s for s in gradients if (s.at[0], s.at[3]) == (n, c)])
    return "\n".join(lines)


def _channel_text(x: list, y: list, g: list, grad_input: list, windows: Sequence[Window], gradients: Sequence[Sum]) -> list[str]:
    """The lines about one channel of one image."""
    several = [f"{s.name} = {' + '.join(s.parts[0].symbols)} = {total([number(a) for a, _ in s.parts[0].factors])} = {number(s.value)}"
               for s in gradients if len(s.parts[0].factors) > 1]
    return ["", "X:", *matrix(x), "", *[w.write() for w in windows], "", "O:", *matrix(y), "",
            "BACKWARD: each window's gradient goes whole to the cell that won, and the others get 0 "
            "(∂E/∂O is all ones where no g is given).", "",
            "∂E/∂O:", *matrix(g), "", *[w.write_gradient() for w in windows],
            *(["", "A cell that won several windows gets the sum:", *map(wrapped, several)] if several else []),
            "", "∂E/∂X:", *matrix(grad_input)]
