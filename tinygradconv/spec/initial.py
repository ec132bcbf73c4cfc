"""First weights: how far apart they are drawn, from the papers.

    He        variance 2 / fan_in                     He et al. 2015, for ReLU
    LeCun     variance 1 / fan_in                     LeCun et al. 1998, "Efficient BackProp"
    Glorot    variance 2 / (fan_in + fan_out)         Glorot and Bengio 2010, for tanh
    FanIn     uniform on ±gain / fan_in               LeCun, Bottou, Bengio and Haffner 1998: LeNet-5, gain 2.4
    Normal    the same deviation everywhere           Krizhevsky, Sutskever and Hinton 2012: AlexNet, 0.01

`fan_in` counts the values that one output is made of, kh·kw·I/groups or I; `fan_out` those that one input reaches. They may differ from
one value of a parameter's last axis to the next (TableConv). A uniform distribution on ±b has variance b²/3. Every parameter has a
stream of random numbers of its own, keyed by (seed, path), so adding a layer does not change the others.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, dataclass_transform

import numpy as np

from tinygradconv.ops.random import normal, uniform
from tinygradconv.tensor import Tensor

from .arguments import explained
from .base import Parameter
from .fields import choice, number, settle

KINDS: dict[str, type[Initialiser]] = {}


@dataclass_transform(frozen_default=True)
def _frozen(kind: type) -> type:
    """Decorator: a frozen dataclass whose fields are checked when it is made, and whose errors say which arguments it takes."""
    made = dataclasses.dataclass(frozen=True, repr=False)(kind)
    made.__init__ = explained(made.__init__)
    return made


@_frozen
class Initialiser:
    """How a parameter is drawn: `init(parameter, key)` gives a float32 tensor."""

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            KINDS[cls.__name__] = cls

    __post_init__ = settle

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(getattr(self, field.name)) for field in dataclasses.fields(self))})"

    def variance(self, parameter: Parameter) -> Any:
        """The variance of one weight: a number, or one for each value of the parameter's last axis."""
        raise NotImplementedError

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        raise NotImplementedError


def _drawn(draw: Callable[..., Tensor], parameter: Parameter, spread: Any, key: int) -> Tensor:
    """draw(shape, spread), or where there is one spread for each value of the last axis, draw(shape, 1) times these."""
    if np.ndim(spread) == 0:
        return draw(parameter.shape, float(spread), key)
    return draw(parameter.shape, 1.0, key) * Tensor.of(spread.astype(np.float32))


def _uniform(shape: tuple[int, ...], bound: float, key: int) -> Tensor:
    return uniform(shape, key=key, low=-bound, high=bound)


def _normal(shape: tuple[int, ...], deviation: float, key: int) -> Tensor:
    return normal(shape, key=key, deviation=deviation)


class _Normal(Initialiser):
    """Normal around zero, with the variance of the other base."""

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        return _drawn(_normal, parameter, np.sqrt(self.variance(parameter)), key)


class _Uniform(Initialiser):
    """Uniform around zero, with the variance of the other base."""

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        return _drawn(_uniform, parameter, np.sqrt(3 * self.variance(parameter)), key)


def _fan_in(parameter: Parameter) -> Any:
    return np.asarray(parameter.fan_in, float)


class _He(Initialiser):
    def variance(self, parameter: Parameter) -> Any:
        return 2 / _fan_in(parameter)


class _LeCun(Initialiser):
    def variance(self, parameter: Parameter) -> Any:
        return 1 / _fan_in(parameter)


class _Glorot(Initialiser):
    def variance(self, parameter: Parameter) -> Any:
        return 2 / (_fan_in(parameter) + np.asarray(parameter.fan_out))


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


@_frozen
class FanIn(_Uniform):
    """Uniform on ±gain / fan_in, as LeNet-5 was with gain 2.4 (LeCun, Bottou, Bengio and Haffner 1998, appendix A)."""

    gain: float = number(above=0)

    def variance(self, parameter: Parameter) -> Any:
        return (self.gain / _fan_in(parameter)) ** 2 / 3


@_frozen
class Normal(_Normal):
    """Normal around zero, the same for every parameter."""

    deviation: float = number(above=0)

    def variance(self, parameter: Parameter) -> Any:
        return self.deviation ** 2


@_frozen
class Uniform(_Uniform):
    """Uniform on ±bound, the same for every parameter."""

    bound: float = number(above=0)

    def variance(self, parameter: Parameter) -> Any:
        return self.bound ** 2 / 3


@_frozen
class Constant(Initialiser):
    """Every value the same."""

    value: float = number()

    def variance(self, parameter: Parameter) -> Any:
        return 0.0

    def __call__(self, parameter: Parameter, key: int) -> Tensor:
        return Tensor.of(np.full(parameter.shape, self.value, np.float32))


def initialiser(default: Initialiser = HeNormal()) -> Any:  # noqa: B008  (an initialiser is a value)
    """A field that says how a parameter is first drawn."""
    def check(where: str, name: str, value: Any) -> Initialiser:
        if not isinstance(value, Initialiser):
            cure = f". Make one: {value.__name__}()" if isinstance(value, type) and issubclass(value, Initialiser) else ""
            raise TypeError(f"{where}: {name} must be an initialiser such as HeNormal() or Constant(0.0), got {value!r}{cure}")
        return value
    return choice(default, check)
