"""A factor and an offset per channel: what LeNet-5's pools learn."""
from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from tinygradconv.tensor import Tensor

from ..base import Layer, Parameter, Shape, layer
from ..initial import Constant, Initialiser, initialiser


@layer
class Scale(Layer):
    """x · weight + bias, one of each per channel. Parameters: weight, bias (channels,); they start at 1 and 0 unless you say otherwise.

    SumPool(2) >> Scale() is a subsampling map of LeNet-5 before its squashing function (LeCun et al. 1998, section II.B, layer S2).
    """

    keeps_order = True

    _: KW_ONLY
    init: Initialiser = initialiser(Constant(1.0))
    bias_init: Initialiser = initialiser(Constant(0.0))

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {"weight": Parameter(shape[-1:], self.init), "bias": Parameter(shape[-1:], self.bias_init)}

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return inputs[0] * site.parameters["weight"] + site.parameters["bias"]
