"""A convolution and its two gradients, written out as the lecture does: every product of every window.

    O  = X * F                               each window's products, column by column, and their sum
    ∂E/∂F = X * ∂E/∂O                        the convolution of the input with the output's gradient
    ∂E/∂X = full convolution of ∂E/∂O        with the filter turned by 180°

The loops here know nothing of the engine: they read Python lists by index. What they find is compared with what the
engine computes, value by value, before anything is shown.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product as every
from typing import Any

import numpy as np

from tinygradconv import autodiff
from tinygradconv.geometry import Conv2dGeometry, Padding, Pair
from tinygradconv.ops import conv as engine
from tinygradconv.tensor import Tensor

from .conv_text import conv2d_text
from .steps import Part, Steps, Sum, as_values, check, frozen, gather, refuse_large, upstream
from .text import cell

WHERE = "explain.conv2d"


@dataclass(frozen=True, repr=False, eq=False)
class Conv2dSteps(Steps):
    """The steps of a convolution; see explain.conv2d. Arrays are read-only and have the axes that were given.

    y, grad_input, grad_weight, grad_bias (None without a bias) and g, the upstream gradient, are what was worked out by hand and found
    equal to the engine's. `outputs`, `weight_sums` and `input_sums` hold the products behind each value, in the order of the text.
    """

    text: str
    y: np.ndarray
    g: np.ndarray
    grad_input: np.ndarray
    grad_weight: np.ndarray
    grad_bias: np.ndarray | None
    outputs: tuple[Sum, ...]
    weight_sums: tuple[Sum, ...]
    input_sums: tuple[Sum, ...]


def conv2d(x: Any, w: Any, bias: Any = None, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1, groups: int = 1,
           g: Any = None) -> Conv2dSteps:
    """Every product of a convolution and of its gradients, as text that shows itself; each number is checked against the engine.

    x (H, W), (H, W, C) or (N, H, W, C); w (kh, kw), (kh, kw, C) for one filter or (kh, kw, C/groups, O); bias a number or (O,). The
    upstream gradient `g` has the shape of the output (OH, OW), with an image axis where x has one and a filter axis where w has one;
    it is all ones where it is not given. Other arguments are those of conv2d. ValueError above 4,000 products; ExplanationError where
    the engine computes something else than the sums that are shown.

    >>> steps = conv2d([[3, 0, 1], [1, 5, 8], [2, 7, 2]], [[1, 0, -1]] * 3)
    >>> print(steps.outputs[0].write())
    O11 = 3·1 + 1·1 + 2·1 + 0·0 + 5·0 + 7·0 + 1·(−1) + 8·(−1) + 2·(−1) = −5
    """
    dtype, given = as_values(WHERE, x=x, w=w, bias=bias, g=g)
    x4, w4, b1 = _four_axes("x", given["x"]), _four_axes("w", given["w"]), None if bias is None else given["bias"].reshape(-1)
    options = dict(stride=stride, padding=padding, dilation=dilation)
    geo = Conv2dGeometry.of(WHERE, x4.shape, w4.shape[:2], **options, O=w4.shape[3], groups=groups)
    _refuse_large(geo, w4.shape[2], given["x"].ndim, options)
    y_shape = geo.y_shape[given["x"].ndim < 4:4 if given["w"].ndim == 4 else 3]
    g4 = upstream(WHERE, given["g"], y_shape, geo.y_shape, dtype)

    y, grads = _engine(x4, w4, b1, g4, groups=groups, **options)
    outputs, weight_sums, input_sums = tuple(_outputs(x4, w4, b1, geo)), tuple(_weight_sums(x4, g4, geo)), tuple(_input_sums(g4, w4, geo))
    bias_sums = () if b1 is None else tuple(_bias_sums(g4))
    for op, sums, array in zip(("conv2d", "conv2d's gradient of x", "conv2d's gradient of w", "conv2d's gradient of the bias"),
                               (outputs, input_sums, weight_sums, bias_sums), (y, *grads)):
        check(WHERE, op, sums, array)

    by_hand = gather(outputs, geo.y_shape, dtype)
    text = conv2d_text(x4, w4, b1, g4, by_hand, geo, (outputs, weight_sums, bias_sums, input_sums))
    return Conv2dSteps(text, frozen(by_hand.reshape(y_shape)), frozen(g4.reshape(y_shape)),
                       frozen(gather(input_sums, geo.x_shape, dtype).reshape(given["x"].shape)),
                       frozen(gather(weight_sums, geo.w_shape, dtype).reshape(given["w"].shape)),
                       None if b1 is None else frozen(gather(bias_sums, b1.shape, dtype).reshape(given["bias"].shape)),
                       outputs, weight_sums, input_sums)


def _four_axes(name: str, array: np.ndarray) -> np.ndarray:
    """x as (N, H, W, C), w as (kh, kw, C, O): the axes that a small example leaves out are added."""
    if not 2 <= array.ndim <= 4:
        raise ValueError(f"{WHERE}: {name} must have two, three or four axes, "
                         + ("(H, W), (H, W, C) or (N, H, W, C)" if name == "x" else "(kh, kw), (kh, kw, C) or (kh, kw, C, O)")
                         + f", got shape {array.shape}")
    if name == "w":
        return array.reshape(array.shape + (1,) * (4 - array.ndim))
    with_channels = array if array.ndim > 2 else array[..., None]
    return with_channels if with_channels.ndim == 4 else with_channels[None]


def _refuse_large(geo: Conv2dGeometry, depth: int, axes: int, options: dict[str, Any]) -> None:
    def count(height: int, width: int) -> int:
        try:
            smaller = Conv2dGeometry.of(WHERE, (geo.N, height, width, geo.C), (geo.kh, geo.kw), **options, O=geo.O, groups=geo.groups)
        except ValueError:                            # the window does not fit any more
            return 0
        return geo.N * smaller.OH * smaller.OW * geo.O * geo.kh * geo.kw * depth

    refuse_large(WHERE, "products", (geo.H, geo.W), count, "x[:, :{0}, :{0}]" if axes == 4 else "x[:{0}, :{0}]")


def _engine(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, g: np.ndarray, **options: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the engine says: the output, and its gradients by x, w and the bias. Its errors about shapes are the caller's."""
    inputs = [Tensor(a, requires_grad=True) for a in (x, w, bias) if a is not None]
    with autodiff.no_grad(off=False):
        y = engine.conv2d(*inputs, **options)
        return y.numpy(), [gradient.numpy() for gradient in autodiff.grad(y, inputs, g)]


def _of(**counts: tuple[int, int]) -> str:
    """'image 2, filter 1': which one, for the axes that have several."""
    return ", ".join(f"{name} {index + 1}" for name, (index, count) in counts.items() if count > 1)


def _taps(geo: Conv2dGeometry, place: tuple[int, int], tap: tuple[int, int]) -> tuple[int, int]:
    """The cell that tap (ky, kx) of window (oy, ox) covers."""
    return geo.sy * place[0] + geo.dy * tap[0] - geo.top, geo.sx * place[1] + geo.dx * tap[1] - geo.left


def _inputs_of(o: int, geo: Conv2dGeometry) -> Iterator[tuple[int, int]]:
    """(channel of the filter, channel of x) for all that filter o sees."""
    depth = geo.C // geo.groups
    first = o // (geo.O // geo.groups) * depth
    return ((c, first + c) for c in range(depth))


def _outputs(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geo: Conv2dGeometry) -> Iterator[Sum]:
    """O[n, oy, ox, o]: one part per channel, the window's cells column by column as the slides have it; padding counts as 0."""
    X, F = x.tolist(), w.tolist()
    for n, o, oy, ox in every(range(geo.N), range(geo.O), range(geo.OH), range(geo.OW)):
        parts = []
        for c, channel in _inputs_of(o, geo):
            factors = []
            for kx, ky in every(range(geo.kw), range(geo.kh)):
                iy, ix = _taps(geo, (oy, ox), (ky, kx))
                factors.append((X[n][iy][ix][channel] if 0 <= iy < geo.H and 0 <= ix < geo.W else 0, F[ky][kx][c][o]))
            parts.append(Part(f"channel {channel + 1}", tuple(factors)))
        yield Sum(cell("O", oy, ox), (n, oy, ox, o), tuple(parts), _of(image=(n, geo.N), filter=(o, geo.O)),
                  None if bias is None else bias.tolist()[o])


def _weight_sums(x: np.ndarray, g: np.ndarray, geo: Conv2dGeometry) -> Iterator[Sum]:
    """∂E/∂F[ky, kx, c, o]: the window that begins at (ky, kx) and has ∂E/∂O for a filter; one part per image."""
    X, G = x.tolist(), g.tolist()
    for o in range(geo.O):
        for (c, channel), ky, kx in every(_inputs_of(o, geo), range(geo.kh), range(geo.kw)):
            parts = []
            for n in range(geo.N):
                factors, symbols = [], []
                for oy, ox in every(range(geo.OH), range(geo.OW)):
                    iy, ix = _taps(geo, (oy, ox), (ky, kx))
                    inside = 0 <= iy < geo.H and 0 <= ix < geo.W
                    factors.append((G[n][oy][ox][o], X[n][iy][ix][channel] if inside else 0))
                    symbols.append(f"{cell('∂E/∂O', oy, ox)}·{cell('X', iy, ix) if inside else 0}")
                parts.append(Part(f"image {n + 1}", tuple(factors), tuple(symbols)))
            yield Sum(cell("∂E/∂F", ky, kx), (ky, kx, c, o), tuple(parts), _of(filter=(o, geo.O), channel=(c, geo.C // geo.groups)))


def _input_sums(g: np.ndarray, w: np.ndarray, geo: Conv2dGeometry) -> Iterator[Sum]:
    """∂E/∂X[n, iy, ix, c]: the turned filter laid over ∂E/∂O, one part per filter that sees the channel; what falls on a zero is left out.

    The turned filter's first row is F's last. Its tap (ky, kx) stands over the place of ∂E/∂O whose window covers (iy, ix) with that tap,
    that is (iy + top − dy·ky)/sy where this is a whole number: with strides ∂E/∂O is spread out, zeros between its values.
    """
    G, F = g.tolist(), w.tolist()
    depth, width = geo.C // geo.groups, geo.O // geo.groups
    for n, channel, iy, ix in every(range(geo.N), range(geo.C), range(geo.H), range(geo.W)):
        group, c = divmod(channel, depth)
        parts = []
        for o in range(group * width, (group + 1) * width):
            factors, symbols = [], []
            for ky, kx in every(reversed(range(geo.kh)), reversed(range(geo.kw))):
                oy, rest_y = divmod(iy + geo.top - geo.dy * ky, geo.sy)
                ox, rest_x = divmod(ix + geo.left - geo.dx * kx, geo.sx)
                if rest_y == rest_x == 0 and 0 <= oy < geo.OH and 0 <= ox < geo.OW:
                    factors.append((F[ky][kx][c][o], G[n][oy][ox][o]))
                    symbols.append(f"{cell('F', ky, kx)}·{cell('∂E/∂O', oy, ox)}")
            parts.append(Part(f"filter {o + 1}", tuple(factors), tuple(symbols)))
        yield Sum(cell("∂E/∂X", iy, ix), (n, iy, ix, channel), tuple(parts), _of(image=(n, geo.N), channel=(channel, geo.C)))


def _bias_sums(g: np.ndarray) -> Iterator[Sum]:
    """∂E/∂b[o] = Σ ∂E/∂O[n, oy, ox, o]."""
    for o in range(g.shape[-1]):
        yield Sum("∂E/∂b", (o,), (Part("", tuple((value, 1) for value in g[..., o].reshape(-1).tolist())),), _of(filter=(o, g.shape[-1])))
