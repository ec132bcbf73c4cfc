"""Activations: functions of one value, and the two softmaxes over the last axis."""
from __future__ import annotations

from typing import Any

from tinygradconv.ops import activation as ops
from tinygradconv.ops import softmax as softmax_ops
from tinygradconv.ops.elementwise import tanh
from tinygradconv.tensor import Tensor

from ..base import Layer, layer
from ..fields import flag, number


class _Activation(Layer):
    keeps_order = True


@layer
class ReLU(_Activation):
    """max(x, 0)."""

    role = "relu"

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.relu(inputs[0])


@layer
class LeakyReLU(_Activation):
    """x where x > 0, slope · x elsewhere."""

    slope: float = number(0.01)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.leaky_relu(inputs[0], self.slope)


@layer
class ELU(_Activation):
    """x where x > 0, alpha · (eˣ − 1) elsewhere."""

    alpha: float = number(1.0, above=0)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.elu(inputs[0], self.alpha)


@layer
class GELU(_Activation):
    """x · Φ(x), Φ the normal distribution's cumulative function; `approximate` takes the tanh formula."""

    approximate: bool = flag(False)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.gelu(inputs[0], approximate=self.approximate)


@layer
class SiLU(_Activation):
    """x · sigmoid(x)."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.silu(inputs[0])


@layer
class Softplus(_Activation):
    """log(1 + eˣ)."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.softplus(inputs[0])


@layer
class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ)."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return ops.sigmoid(inputs[0])


@layer
class Tanh(_Activation):
    """tanh x."""

    role = "tanh"

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return tanh(inputs[0])


@layer
class ScaledTanh(_Activation):
    """amplitude · tanh(slope · x). The numbers of LeNet-5 put f(±1) = ±1, where the second derivative is largest.

    Source: LeCun, Bottou, Bengio and Haffner 1998, equation 6 and appendix A.
    """

    amplitude: float = number(1.7159, above=0)
    slope: float = number(2 / 3, above=0)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return tanh(inputs[0] * self.slope) * self.amplitude


@layer
class Softmax(Layer):
    """e^x[c] / Σ e^x over the last axis. For training leave it out: the cross-entropy loss takes logits."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return softmax_ops.softmax(inputs[0], axis=-1)


@layer
class LogSoftmax(Layer):
    """x[c] − log Σ e^x over the last axis."""

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return softmax_ops.log_softmax(inputs[0], axis=-1)
