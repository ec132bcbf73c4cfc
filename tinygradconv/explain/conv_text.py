"""The page that explain.conv2d shows: pictures of the matrices, and the sums between them."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinygradconv.geometry import Conv2dGeometry

from .steps import Sum, gather, listing, rounding_note
from .text import SIZE_RULE, beside, matrix, number, places, titled, total, wrapped


def conv2d_text(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, g: np.ndarray, y: np.ndarray, geo: Conv2dGeometry,
                sums: tuple[Sequence[Sum], Sequence[Sum], Sequence[Sum], Sequence[Sum]]) -> str:
    """The whole text, from the arrays (four axes each) and the sums of the outputs and of the gradients by filter, bias and input."""
    outputs, weight_sums, bias_sums, input_sums = sums
    padded = np.pad(x, ((0, 0), geo.pad_y, geo.pad_x, (0, 0)))
    turned = w[::-1, ::-1]
    blocks = [
        _heading(geo),
        _picture(padded, w, y, geo, () if bias is None else bias),
        "Each output is the sum of a window's products, taken column by column:",
        listing(outputs),
        "" if geo.N == geo.C == geo.O == 1 else _matrices("O", "filter", y),       # one matrix is in the picture above
        "BACKWARD, from the gradient that comes from above (all ones where no g is given):",
        _matrices("∂E/∂O", "filter", g),
        _weight_heading(geo),
        listing(weight_sums, symbols=True),
        "\n".join(_filters("∂E/∂F", gather(weight_sums, geo.w_shape, g.dtype))),
        *_bias(bias_sums),
        _input_heading(geo),
        "\n".join(_filters("F turned", turned)),
        _matrices(_bordered_name(geo), "filter", bordered(g, geo)),
        listing(input_sums, symbols=True),
        _matrices("∂E/∂X", "channel", gather(input_sums, geo.x_shape, g.dtype)),
        rounding_note([*outputs, *weight_sums, *bias_sums, *input_sums]),
    ]
    return "\n\n".join(block for block in blocks if block)


def _heading(geo: Conv2dGeometry) -> str:
    groups = f", in {geo.groups} groups" if geo.groups > 1 else ""
    X, F, O = _size(geo.H, geo.W, geo.C), _size(geo.kh, geo.kw, geo.C // geo.groups), _size(geo.OH, geo.OW, geo.O)
    lines = [f"CONVOLUTION of X {X} with F {F}{groups}: O {O}", SIZE_RULE,
             f"rows    {places(geo.H, geo.top, geo.bottom, geo.span[0], geo.sy, geo.OH)}",
             f"columns {places(geo.W, geo.left, geo.right, geo.span[1], geo.sx, geo.OW)}"]
    if (geo.dy, geo.dx) != (1, 1):
        lines.append(f"The cells of a window lie {geo.dy} rows and {geo.dx} columns apart: F spans {geo.span[0]}×{geo.span[1]}.")
    return "\n".join(lines)


def _size(rows: int, columns: int, channels: int) -> str:
    return f"{rows}×{columns}" + (f"×{channels}" if channels > 1 else "")


def _picture(padded: np.ndarray, w: np.ndarray, y: np.ndarray, geo: Conv2dGeometry, bias: Iterable[float]) -> str:
    """X * F = O where each is one matrix; the channels of X and of each filter side by side otherwise."""
    bias = [number(float(b)) for b in bias]
    if geo.N == geo.C == geo.O == 1:
        plus = ["+", f"({bias[0]})" if bias[0].startswith("−") else bias[0]] if bias else []
        return "\n".join(beside("X * F  =", matrix(padded[0, :, :, 0].tolist()), "*", matrix(w[:, :, 0, 0].tolist()), *plus,
                                "=", matrix(y[0, :, :, 0].tolist())))
    biases = [wrapped("b: " + ", ".join(bias))] if bias else []
    name = "X" if padded.shape == geo.x_shape else "X with its padding"
    return "\n".join([_matrices(name, "channel", padded), *_filters("F", w), *biases])


def _matrices(name: str, axis: str, arrays: np.ndarray) -> str:
    """One line of matrices per image: the last axis side by side, named where there are several."""
    lines = []
    for n, array in enumerate(arrays):
        of = f" of image {n + 1}" if len(arrays) > 1 else ""
        blocks = [matrix(array[:, :, k].tolist()) for k in range(array.shape[-1])]
        if len(blocks) > 1:
            blocks = [titled(f"{axis} {k + 1}", block) for k, block in enumerate(blocks)]
        lines += [f"{name}{of}:", *beside(*blocks)]
    return "\n".join(lines)


def _filters(name: str, w: np.ndarray) -> list[str]:
    return [_matrices(name + (f", filter {o + 1}" if w.shape[3] > 1 else ""), "channel", w[None, :, :, :, o]) for o in range(w.shape[3])]


def _weight_heading(geo: Conv2dGeometry) -> str:
    steps = "" if (geo.sy, geo.sx) == (1, 1) else f", its cells {geo.sy} rows and {geo.sx} columns apart as the windows were"
    return f"∂E/∂F is the convolution of X with ∂E/∂O as the filter{steps}:"


def _input_heading(geo: Conv2dGeometry) -> str:
    spread = "" if (geo.sy, geo.sx) == (1, 1) else ", ∂E/∂O spread out by the stride"
    apart = "" if (geo.dy, geo.dx) == (1, 1) else f"; the turned filter's cells lie {geo.dy} rows and {geo.dx} columns apart"
    return f"∂E/∂X is the full convolution of ∂E/∂O with F turned by 180°{spread}{apart}. Products with the zeros are left out:"


def _bordered_name(geo: Conv2dGeometry) -> str:
    return "∂E/∂O with the zeros around it" + ("" if (geo.sy, geo.sx) == (1, 1) else " and between its values")


def bordered(g: np.ndarray, geo: Conv2dGeometry) -> np.ndarray:
    """∂E/∂O as the full convolution sees it, (N, H + span − 1, W + span − 1, O): spread out by the stride, zeros around it.

    Where the padding was wider than span − 1, outputs that saw nothing of X fall outside the frame and are cut off.
    """
    frame = np.zeros((geo.N, geo.H + geo.span[0] - 1, geo.W + geo.span[1] - 1, geo.O), g.dtype)
    for oy in range(geo.OH):
        for ox in range(geo.OW):
            row, column = geo.sy * oy + geo.span[0] - 1 - geo.top, geo.sx * ox + geo.span[1] - 1 - geo.left
            if 0 <= row < frame.shape[1] and 0 <= column < frame.shape[2]:
                frame[:, row, column] = g[:, oy, ox]
    return frame


def _bias(sums: Sequence[Sum]) -> list[str]:
    """∂E/∂b: every output has the bias added once, so its gradient is the sum of theirs."""
    terms = [[number(a) for a, _ in s.parts[0].factors] for s in sums]
    lines = [wrapped(" = ".join([s.full_name, *([total(t)] if len(t) > 1 else []), number(s.value)])) for s, t in zip(sums, terms)]
    return ["∂E/∂b is the sum of ∂E/∂O:", "\n".join(lines)] if sums else []
