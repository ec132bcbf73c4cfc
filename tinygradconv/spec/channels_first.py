"""Parameters as libraries lay them out in which channels come first (torch, ONNX), and the way there and back.

    layer                                      here                      there
    Conv, Conv1d                               (kh, kw, I/groups, O)     (O, I/groups, kh, kw)
    ConvTranspose (the convolution's weight)   (kh, kw, O/groups, I)     (I, O/groups, kh, kw)
    Dense                                      (I, O)                    (O, I)
    LayerNorm over several axes                (H, W, C)                 (C, H, W)

Behind a Flatten a value's place in the vector follows the order H·W·C here and C·H·W there. Inference records which images were
flattened (`Step.flattened`), and what has one entry per place, the rows of a dense layer or the scale of a norm, is permuted by it.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from .base import Shape
from .infer import Network, Step
from .layers import BatchNorm, Dense, GroupNorm, LayerNorm, TableConv
from .layers.conv import Convolution


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one array of ours, of `shape`, lies there: axis i of theirs is our `axes[i]`.

    `flattened`: the images, (H, W, C), whose values our first axis runs through, one after another; () where it runs through none.
    """

    shape: Shape
    axes: tuple[int, ...]
    flattened: tuple[Shape, ...] = ()

    @property
    def theirs(self) -> Shape:
        """The shape that the array has there."""
        return tuple(self.shape[axis] for axis in self.axes)

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """`array`, of `shape`, as it lies there: a new array."""
        made = np.empty(self.theirs, array.dtype)
        for ours, theirs in self._views(np.ascontiguousarray(array).reshape(self.shape), made):
            theirs[...] = ours
        return made

    def to_ours(self, array: np.ndarray, out: np.ndarray) -> None:
        """Fill `out`, contiguous and of `shape`, with `array`, which lies as it does there; floating dtypes are converted on the way."""
        for ours, theirs in self._views(out, array):
            ours[...] = theirs

    def _views(self, ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Views of both that agree place by place: one pair for each flattened image, or one of the whole."""
        theirs = theirs.transpose(np.argsort(self.axes))
        if not self.flattened:
            yield ours, theirs
        begin, rest = 0, self.shape[1:]
        for shape in self.flattened:
            stretch = slice(begin, begin := begin + math.prod(shape))
            channels_first = theirs[stretch].reshape(shape[-1], *shape[:-1], *rest)
            yield ours[stretch].reshape(*shape, *rest), np.moveaxis(channels_first, 0, len(shape) - 1)


def layouts(network: Network) -> dict[str, Layout]:
    """The layout of every parameter and every buffer, by path, layer by layer. What those libraries have no layer for lies as it does here.

    ValueError: a Share is used behind Flattens of different images, so that no one order of its rows is right.
    """
    found: dict[str, Layout] = {}
    for step in network.steps:
        for name, path in (*step.parameters.items(), *step.buffers.items()):
            layout = _layout(step, name, network.parameters[path].shape if name in step.parameters else network.buffers[path][0])
            if found.setdefault(path, layout) != layout:
                raise ValueError(f"{path} is shared by layers behind Flattens of different images, {found[path].flattened} and "
                                 f"{layout.flattened}: no one order of its rows is right channels-first. Give each its own layer")
    return found


def _layout(step: Step, name: str, shape: Shape) -> Layout:
    n = len(shape)
    if isinstance(step.spec, (Convolution, Dense)) and not isinstance(step.spec, TableConv) and name == "weight":
        return Layout(shape, (n - 1, n - 2, *range(n - 2)), step.flattened or ())
    if isinstance(step.spec, (BatchNorm, LayerNorm, GroupNorm)):
        return Layout(shape, (n - 1, *range(n - 1)), step.flattened or ())
    return Layout(shape, tuple(range(n)))
