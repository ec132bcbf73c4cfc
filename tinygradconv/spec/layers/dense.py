"""The fully connected layer: y = x @ weight + bias."""
from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from tinygradconv.ops.matmul import dense
from tinygradconv.tensor import Tensor

from ..base import Layer, Parameter, Shape, layer
from ..fields import flag, size
from ..initial import Constant, Initialiser, initialiser


@layer
class Dense(Layer):
    """y = x @ weight + bias for a flat vector of I values: `features` outputs. Parameters: weight (I, features), bias (features,).

    `init` draws the weight (HeNormal() unless you say otherwise), `bias_init` the bias (zeros).
    """

    takes = frozenset({"relu", "tanh"})

    features: int = size()
    _: KW_ONLY
    bias: bool = flag(True)
    init: Initialiser = initialiser()
    bias_init: Initialiser = initialiser(Constant(0.0))

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if len(shapes[0]) != 1:
            raise ValueError(f"{where} expects a flat vector; got {shapes[0]}. Put Flatten() or GlobalAvgPool() before it.")
        return (self.features,)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        weight = Parameter((shape[0], self.features), self.init, shape[0], self.features)
        return {"weight": weight, **({"bias": Parameter((self.features,), self.bias_init, shape[0], self.features)} if self.bias else {})}

    def macs(self, shape: Shape) -> int:
        return shape[0] * self.features

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
        return (shape[:-1], shape[:-1]) if len(shape) > 1 else None      # every unit sees the whole of a flattened image

    def apply(self, *inputs: Tensor, site: Any, activation: str | None = None) -> Tensor:
        return dense(inputs[0], site.parameters["weight"], site.parameters.get("bias"), activation=activation)
