"""Windows that slide over images: the one place where their sizes are worked out.

Along one axis of length `size`, a window of `kernel_size` cells that lie `dilation` apart spans

    span = dilation · (kernel_size − 1) + 1

cells, and moved in steps of `stride` over the axis with `before` and `after` cells of padding it stands in

    output = ⌊(before + size + after − span) / stride⌋ + 1

places (the lecture's (N + 2P − F) / stride + 1). With `ceil_mode` the division rounds up, so that a smaller last window is
kept, unless that window would start in the padding after the axis: then it is dropped.

Ops, specs and tables all ask this module; a geometry is a frozen value that passes unchanged through an op, its
derivatives and its kernels, so nothing is ever inferred backwards from a shape.

Axis letters, here and everywhere: N images, H rows, W columns, C channels in, O channels out, kh × kw the window.
"""
from __future__ import annotations

import math
import operator
import reprlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

Pair = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | str
LARGEST = 2**31 - 1      # of a window's sizes along one axis: kernels multiply two of them in 64 bits

_BRIEF = reprlib.Repr()          # of what is refused: an array among it would fill the screen
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 3, 60, 60


def described(value: Any) -> str:
    """What came in place of what an error expects: "2.5 of type float"; a long value is cut."""
    return f"{_BRIEF.repr(value)} of type {type(value).__name__}"


def integer(name: str, value: object, *, at_least: int, at_most: float = math.inf, where: str = "") -> int:
    """`value` as a Python integer from `at_least` to `at_most`; a ValueError or TypeError that names it otherwise. True is no integer."""
    at = f"{where}: " if where else ""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{at}{name} must be an integer, got {described(value)}")
    if number < at_least:
        raise ValueError(f"{at}{name} must be at least {at_least}, got {number}")
    if number > at_most:
        raise ValueError(f"{at}{name} must be at most {at_most:,}, got {number:,}")
    return number


def real(name: str, value: object, *, where: str) -> float:
    """`value` as a finite Python float; a ValueError or TypeError that names it otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{where}: {name} must be a number, got {described(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: {name} must be finite, got {value!r}")
    return float(value)


def pair(name: str, value: Pair, *, at_least: int, where: str = "") -> tuple[int, int]:
    """`value` as (rows, columns): one integer stands for both."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{where}: {name} must be one integer or two (rows, columns), got {value!r}")
        return tuple(integer(name, one, at_least=at_least, at_most=LARGEST, where=where) for one in value)
    number = integer(name, value, at_least=at_least, at_most=LARGEST, where=where)
    return number, number


def output_size(size: int, kernel_size: int, stride: int = 1, before: int = 0, after: int = 0, dilation: int = 1,
                ceil_mode: bool = False) -> int:
    """⌊(before + size + after − span) / stride⌋ + 1 with span = dilation · (kernel_size − 1) + 1: the places of a window.

    `ceil_mode` rounds up instead and drops a last window that would start in the padding after the axis; as in PyTorch, a first
    window that is too long by less than a stride is kept too. The answer is zero or less where the window does not fit.

    >>> output_size(227, 11, stride=4)               # AlexNet's first layer
    55
    >>> output_size(55, 3, stride=2)                 # and its overlapping pooling
    27
    """
    room = before + size + after - (dilation * (kernel_size - 1) + 1)
    if not ceil_mode:
        return room // stride + 1
    places = -(-room // stride) + 1
    return places - 1 if (places - 1) * stride >= size + before else places


def resolve_padding(padding: Padding, size: tuple[int, int], kernel_size: tuple[int, int], stride: tuple[int, int],
                    dilation: tuple[int, int], where: str = "") -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) for any way of writing padding.

    `padding` is one integer, a pair (rows, columns), two pairs ((top, bottom), (left, right)), "valid" (none) or "same":
    the output then has ⌈size / stride⌉ places, and an odd cell of padding goes after the image (TensorFlow's and PyTorch's rule).
    """
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        if padding == "same":
            totals = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in zip(size, kernel_size, stride, dilation)]
            return tuple((total // 2, total - total // 2) for total in totals)
        raise ValueError(f"{where}: padding must be integers, 'same' or 'valid', got {padding!r}")
    if isinstance(padding, (tuple, list)) and len(padding) == 2 and all(isinstance(p, (tuple, list)) for p in padding):
        return pair("padding", padding[0], at_least=0, where=where), pair("padding", padding[1], at_least=0, where=where)
    rows, columns = pair("padding", padding, at_least=0, where=where)
    return (rows, rows), (columns, columns)


@dataclass(frozen=True)
class WindowGeometry:
    """How windows of kh × kw cells slide over N images of H × W × C: everything that im2col and pooling need.

    Window (oy, ox) covers the cells  iy = sy·oy + dy·ky − top,  ix = sx·ox + dx·kx − left  for ky < kh, kx < kw; cells
    outside the image are padding. `OH`, `OW` are stored, not derived, because `ceil_mode` may have added a last window.
    """

    N: int
    H: int
    W: int
    C: int
    kh: int
    kw: int
    sy: int
    sx: int
    dy: int
    dx: int
    top: int
    bottom: int
    left: int
    right: int
    OH: int
    OW: int

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """By all fields, once: every step asks for what is remembered by geometry."""
        return hash(tuple(getattr(self, field.name) for field in fields(self)))

    @classmethod
    def of(cls, where: str, x_shape: tuple[int, ...], kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0,
           dilation: Pair = 1, ceil_mode: bool = False, **more) -> WindowGeometry:
        """The geometry of windows over x (N, H, W, C). `stride=None` means windows side by side; errors begin with `where`."""
        if len(x_shape) != 4:
            raise ValueError(f"{where}: x must have four axes (N, H, W, C), got shape {tuple(x_shape)}"
                             + (". Add the image axis: x[None]" if len(x_shape) == 3 else ""))
        N, H, W, C = x_shape
        k = pair("kernel_size", kernel_size, at_least=1, where=where)
        s = k if stride is None else pair("stride", stride, at_least=1, where=where)
        d = pair("dilation", dilation, at_least=1, where=where)
        (top, bottom), (left, right) = resolve_padding(padding, (H, W), k, s, d, where)
        OH = output_size(H, k[0], s[0], top, bottom, d[0], ceil_mode)
        OW = output_size(W, k[1], s[1], left, right, d[1], ceil_mode)
        if OH < 1 or OW < 1:
            span = tuple(d[i] * (k[i] - 1) + 1 for i in range(2))
            raise ValueError(f"{where}: a window that spans {span[0]}×{span[1]} does not fit into an image of {H}×{W} with padding "
                             f"(top {top}, bottom {bottom}, left {left}, right {right}). Use a smaller kernel_size or more padding")
        steps = min(s[0], top + H + bottom), min(s[1], left + W + right)      # where only one window fits the stride says nothing
        return cls(N, H, W, C, *k, *steps, *d, top, bottom, left, right, OH, OW, **more)

    @property
    def pad_y(self) -> tuple[int, int]:
        """Rows of padding (before, after), enough for every window: `ceil_mode` may reach past `bottom`."""
        return self.top, max(self.bottom, (self.OH - 1) * self.sy + self.span[0] - self.H - self.top)

    @property
    def pad_x(self) -> tuple[int, int]:
        """Columns of padding (before, after), enough for every window."""
        return self.left, max(self.right, (self.OW - 1) * self.sx + self.span[1] - self.W - self.left)

    @property
    def span(self) -> tuple[int, int]:
        """The rows and columns that one window reaches over: dilation · (kernel_size − 1) + 1."""
        return self.dy * (self.kh - 1) + 1, self.dx * (self.kw - 1) + 1

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return self.N, self.H, self.W, self.C

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """(N, OH, OW, C)."""
        return self.N, self.OH, self.OW, self.C

    @property
    def cols_shape(self) -> tuple[int, int]:
        """(N·OH·OW, kh·kw·C): one row of columns per window."""
        return self.N * self.OH * self.OW, self.kh * self.kw * self.C

    def sums_inside(self, weights: np.ndarray) -> np.ndarray:
        """Σ weights[ky, kx] over the cells of window (oy, ox) that lie inside the image: an array (OH, OW)."""
        rows = np.arange(self.OH)[:, None] * self.sy + np.arange(self.kh) * self.dy - self.top
        columns = np.arange(self.OW)[:, None] * self.sx + np.arange(self.kw) * self.dx - self.left
        inside_y, inside_x = (rows >= 0) & (rows < self.H), (columns >= 0) & (columns < self.W)
        return inside_y.astype(weights.dtype) @ weights @ inside_x.astype(weights.dtype).T

    @cached_property
    def cells_inside(self) -> np.ndarray:
        """How many cells of window (oy, ox) lie inside the image: an integer array (OH, OW)."""
        return self.sums_inside(np.ones((self.kh, self.kw), np.int64))


@dataclass(frozen=True)
class Conv2dGeometry(WindowGeometry):
    """A 2-D convolution of x (N, H, W, C) with w (kh, kw, C/groups, O) into y (N, OH, OW, O).

    Channel o of the output belongs to group o // (O/groups) and sees the C/groups channels of that group.
    """

    O: int = 0
    groups: int = 1

    __hash__ = WindowGeometry.__hash__

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """(kh, kw, C/groups, O)."""
        return self.kh, self.kw, self.C // self.groups, self.O

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """(N, OH, OW, O)."""
        return self.N, self.OH, self.OW, self.O

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward pass: N·OH·OW·O · kh·kw·C/groups."""
        return self.N * self.OH * self.OW * self.O * self.kh * self.kw * (self.C // self.groups)


@dataclass(frozen=True)
class ReceptiveField:
    """What one value sees of the input: `field` cells along each axis, neighbouring values `jump` cells apart.

    A window of span e and stride s turns (field, jump) into (field + (e − 1)·jump, jump·s).

    >>> seen = ReceptiveField()
    >>> for _ in range(3): seen = seen.through(span=(3, 3), stride=(1, 1))
    >>> seen.field                                    # three 3×3 convolutions see what one 7×7 does
    (7, 7)
    """

    field: tuple[int, int] = (1, 1)
    jump: tuple[int, int] = (1, 1)

    def through(self, span: tuple[int, int], stride: tuple[int, int]) -> ReceptiveField:
        """The receptive field behind one more window of this span and stride."""
        return ReceptiveField(tuple(f + (e - 1) * j for f, e, j in zip(self.field, span, self.jump)),
                              tuple(j * s for j, s in zip(self.jump, stride)))
