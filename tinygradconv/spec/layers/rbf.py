"""Radial basis functions: how near a vector is to each of a few fixed codes, the output layer of LeNet-5."""
from __future__ import annotations

from dataclasses import MISSING
from typing import Any

import numpy as np

from tinygradconv.ops.device import beside
from tinygradconv.ops.elementwise import square
from tinygradconv.tensor import Tensor

from ..base import Layer, Shape, layer
from ..fields import choice


def _codes(where: str, name: str, value: Any) -> tuple[str, ...]:
    """Codes of equal length, no two the same, without the blanks between their rows."""
    if not isinstance(value, (tuple, list)) or not value or not all(isinstance(code, str) for code in value):
        raise TypeError(f"{where}: {name} must be texts of # and ., such as ('##.. #..#', '..## .##.'), got {value!r}")
    codes = tuple("".join(code.split()) for code in value)
    for code in codes:
        if not code or set(code) - {"#", "."}:
            raise ValueError(f"{where}: a code is made of # for +1 and . for −1, got {code!r}")
        if len(code) != len(codes[0]):
            raise ValueError(f"{where}: {name} must be equally long, got one of {len(codes[0])} values and one of {len(code)}")
    twice = [code for code in codes if codes.count(code) > 1]
    if twice:
        raise ValueError(f"{where}: two {name} are the same, {twice[0]!r}, so nothing tells them apart")
    return codes


@layer
class RBF(Layer):
    """y[k] = −Σ (x[i] − codes[k][i])²: minus the squared distance from each code, so that the largest is the answer.

    A code is text, # for +1 and . for −1, blanks between rows as you like; codes are data of the spec and not learned. The paper prints
    the distance itself, a penalty. Softmax cross-entropy of y is its discriminative criterion (equation 9) without the constant
    e^−j, which stands there for "rubbish". Source: LeCun, Bottou, Bengio and Haffner 1998, section II.B and equation 7.
    """

    codes: Any = choice(MISSING, _codes)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        length = len(self.codes[0])
        if shapes[0] != (length,):
            cure = "Put Flatten() before it" if len(shapes[0]) > 1 else f"Put Dense({length}) before it"
            raise ValueError(f"{where} compares with codes of {length} values; got {shapes[0]}. {cure}")
        return (len(self.codes),)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        x = inputs[0]
        codes = np.array([[1 if mark == "#" else -1 for mark in code] for code in self.codes], x.dtype)
        return -square(x[:, None] - beside(x, codes)).sum(2)
