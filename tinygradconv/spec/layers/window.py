"""Windows over one input of a layer: shapes without the batch axis, handed to the one shape rule in geometry.py."""
from __future__ import annotations

from typing import Any

from tinygradconv.geometry import WindowGeometry

from ..base import Shape

EXPECTED = {2: "an image (height, width, channels)", 1: "a sequence (length, channels)"}


def check_axes(where: str, shape: Shape, axes: int) -> None:
    """ValueError unless `shape` has `axes` spatial axes and one of channels."""
    if len(shape) != axes + 1:
        cure = {1: ". Is there a Flatten() before it?", 2: f". A grey image is {(*shape, 1)}; Conv1d takes sequences",
                3: ". Conv takes images"}[len(shape)]
        raise ValueError(f"{where} expects {EXPECTED[axes]}; got {shape}{cure}")


def spatial_axes(where: str, shape: Shape) -> int:
    """1 for a sequence, 2 for an image; ValueError for a vector."""
    if len(shape) not in (2, 3):
        raise ValueError(f"{where} expects {EXPECTED[2]} or {EXPECTED[1]}; got {shape}. Is there a Flatten() before it?")
    return len(shape) - 1


def geometry_of(where: str, layer: Any, shape: Shape, kind: type[WindowGeometry] = WindowGeometry, **more: Any) -> WindowGeometry:
    """The windows of `layer` over one input of `shape`; a sequence is an image with one row."""
    options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "ceil_mode") if hasattr(layer, name)}
    if len(shape) == 3:
        return kind.of(where, (1, *shape), layer.kernel_size, **options, **more)
    for name in ("kernel_size", "stride", "dilation"):
        if isinstance(getattr(layer, name, 1), tuple):
            raise ValueError(f"{where} got the sequence {shape}, for which {name} is one integer, not {getattr(layer, name)}")
    for name in ("stride", "dilation"):
        if options.get(name) is not None:
            options[name] = (1, options[name])
    padding = options.get("padding", 0)
    if isinstance(padding, tuple) and isinstance(padding[0], tuple):
        raise ValueError(f"{where} got the sequence {shape}, for which padding is one integer or (before, after), not {padding}")
    if not isinstance(padding, str):
        options["padding"] = ((0, 0), padding if isinstance(padding, tuple) else (padding, padding))
    return kind.of(where, (1, 1, *shape), (1, layer.kernel_size), **options, **more)


def without_batch(geometry: WindowGeometry, axes: int) -> Shape:
    """The shape of the output, without the batch axis and, for a sequence, without its one row."""
    return geometry.y_shape[1 if axes == 2 else 2:]


def span_and_stride(geometry: WindowGeometry, axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """((span, …), (stride, …)), one per spatial axis."""
    return geometry.span[2 - axes:], (geometry.sy, geometry.sx)[2 - axes:]
