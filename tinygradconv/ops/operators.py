"""What +, @, <, & and their kin mean between tensors, arrays and numbers. (`x += y` makes a new tensor and rebinds x.)"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.ops import elementwise as op
from tinygradconv.ops.matmul import matmul
from tinygradconv.ops.power import pow
from tinygradconv.ops.spelling import missing
from tinygradconv.tensor import Tensor

OPERANDS = (Tensor, np.ndarray, np.generic, bool, int, float, list, tuple)


def _operator(function: Any) -> Any:
    """self ∘ other; what no op knows (strings, None, …) is left to Python, which raises the usual TypeError."""
    return lambda self, other: function(self, other) if type(other) is Tensor or isinstance(other, OPERANDS) else NotImplemented


def _reflected(function: Any) -> Any:
    """other ∘ self."""
    return lambda self, other: function(other, self) if type(other) is Tensor or isinstance(other, OPERANDS) else NotImplemented


def _logical(sign: str, function: Any) -> Any:
    """self & other and the like, for bool only: NumPy's act on the bits of integers, which no gradient needs."""
    def operator(self: Tensor, *other: Any) -> Any:
        for value in (self, *other):
            kind = getattr(value, "dtype", type(value).__name__)
            if kind != op.BOOL:
                example = f"(x > 0) {sign} (x < 1)" if other else f"{sign}(x > 0)"
                raise TypeError(f"{sign} works on bool tensors, got {kind}. Compare first, e.g. {example}")
        return function(self, *other)
    return operator


ARITHMETIC = {"add": op.add, "sub": op.subtract, "mul": op.multiply, "truediv": op.divide, "pow": pow, "floordiv": op.floor_divide,
              "mod": op.remainder, "matmul": matmul}
COMPARISONS = {"eq": op.equal, "ne": op.not_equal, "lt": op.less, "le": op.less_equal, "gt": op.greater, "ge": op.greater_equal}
LOGICAL = {"and": ("&", op.logical_and), "or": ("|", op.logical_or), "xor": ("^", op.logical_xor)}

for _name, _function in ARITHMETIC.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
    setattr(Tensor, f"__r{_name}__", _reflected(_function))
for _name, _function in COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
for _name, (_sign, _function) in LOGICAL.items():
    setattr(Tensor, f"__{_name}__", _logical(_sign, _function))
    setattr(Tensor, f"__r{_name}__", _logical(_sign, _function))
Tensor.__invert__ = _logical("~", op.logical_not)
Tensor.__neg__ = lambda self: op.negative(self)
Tensor.__pos__ = lambda self: self
Tensor.__abs__ = lambda self: op.abs(self)
Tensor.__contains__ = lambda self, value: bool(np.any((self == value).numpy()))


def _no_attribute(self: Tensor, name: str) -> Any:
    """Asked only for what a tensor does not have."""
    raise missing("Tensor", name)


Tensor.__getattr__ = _no_attribute
