"""First weights: how far apart they are drawn, from the papers.

    He        variance 2 / fan_in                     He et al. 2015, for ReLU
    LeCun     variance 1 / fan_in                     LeCun et al. 1998, "Efficient BackProp"
    Glorot    variance 2 / (fan_in + fan_out)         Glorot and Bengio 2010, for tanh

`fan_in` counts the values that one output is made of, kh·kw·I/groups or I; `fan_out` those that one input reaches. A uniform
distribution on ±b has variance b²/3. Every parameter has a stream of random numbers of its own, keyed by (seed, path), so
adding a layer does not change the others.
"""
from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tinygradconv.ops.random import normal, uniform
from tinygradconv.tensor import Tensor

from .base import Parameter
from .fields import choice, finite

KINDS: dict[str, type[Initialiser]] = {}


@dataclasses.dataclass(frozen=True)
class Initialiser:
    """How a parameter is drawn: `init(parameter, key)` gives a float32 tensor."""

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            KINDS[cls.__name__] = cls

    def variance(self, parameter: Parameter) -> float:
        """The variance of one weight."""
        raise NotImplementedError

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        raise NotImplementedError


class _Normal(Initialiser):
    """Normal around zero, with the variance of the other base."""

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        return normal(parameter.shape, key=key, deviation=math.sqrt(self.variance(parameter)))


class _Uniform(Initialiser):
    """Uniform around zero, with the variance of the other base."""

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        bound = math.sqrt(3 * self.variance(parameter))
        return uniform(parameter.shape, key=key, low=-bound, high=bound)


class _He(Initialiser):
    def variance(self, parameter: Parameter) -> float:
        return 2 / parameter.fan_in


class _LeCun(Initialiser):
    def variance(self, parameter: Parameter) -> float:
        return 1 / parameter.fan_in


class _Glorot(Initialiser):
    def variance(self, parameter: Parameter) -> float:
        return 2 / (parameter.fan_in + parameter.fan_out)


class HeNormal(_He, _Normal):
    """Normal with variance 2 / fan_in: keeps the size of signals through layers that a ReLU follows. The default."""


class HeUniform(_He, _Uniform):
    """Uniform with variance 2 / fan_in."""


class LeCunNormal(_LeCun, _Normal):
    """Normal with variance 1 / fan_in."""


class LeCunUniform(_LeCun, _Uniform):
    """Uniform with variance 1 / fan_in."""


class GlorotNormal(_Glorot, _Normal):
    """Normal with variance 2 / (fan_in + fan_out)."""


class GlorotUniform(_Glorot, _Uniform):
    """Uniform with variance 2 / (fan_in + fan_out)."""


@dataclasses.dataclass(frozen=True)
class Constant(Initialiser):
    """Every value the same."""

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", finite("Constant", "value", self.value))

    def __repr__(self) -> str:
        return f"Constant({self.value!r})"

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        return Tensor.of(np.full(parameter.shape, self.value, np.float32))


def initialiser() -> Any:
    """A field that says how a weight is first drawn."""
    def check(where: str, name: str, value: Any) -> Initialiser:
        if not isinstance(value, Initialiser):
            raise TypeError(f"{where}: {name} must be an initialiser such as HeNormal() or Constant(0.0), got {value!r}")
        return value
    return choice(HeNormal(), check)
