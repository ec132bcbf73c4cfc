"""How a kernel's function is given its meaning: the same code over other globals, with `math` as a GPU computes it."""
from __future__ import annotations

import builtins
import math
import types
from typing import Any

import numpy as np

from ..language import DeviceFunction, Words
from ..language import cuda as cuda_words
from ..language import ptx as ptx_words
from .faults import MARK

# The module `math` in a kernel: NumPy's function of the same name and meaning where there is one, else Python's.
NUMPY = ("ceil", "copysign", "cos", "cosh", "exp", "exp2", "expm1", "fabs", "floor", "fmod", "hypot", "isfinite", "isinf", "isnan", "log",
         "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh", "trunc")
PYTHON = ("erf", "erfc")


def _floating(value: Any) -> Any:
    """A number as Numba's functions of `math` take it: integers become float64."""
    return value if isinstance(value, np.floating) else np.float64(value)


def _from_numpy(name: str) -> Any:
    function = getattr(np, name)
    return lambda *values: function(*map(_floating, values))


def _from_python(name: str) -> Any:
    function = getattr(math, name)
    return lambda x: type(_floating(x))(function(x))


def _power(a: Any, b: Any) -> Any:
    """aᵇ as C's pow, by way of arrays: NumPy's numbers take a square root for b = 0.5, which is NaN for −∞."""
    return np.power(np.atleast_1d(_floating(a)), np.atleast_1d(_floating(b)))[0]


MATH = types.SimpleNamespace(pow=_power, pi=math.pi, inf=math.inf, nan=math.nan, e=math.e,
                             **{name: _from_numpy(name) for name in NUMPY}, **{name: _from_python(name) for name in PYTHON})


def emulated(function: types.FunctionType, launch: Any) -> types.FunctionType:
    """The same code, with what it refers to given a meaning: words, `math`, and device functions, which are treated so too."""
    known = {cuda_words: launch.cuda, ptx_words: launch.ptx}

    def meaning(value: Any) -> Any:
        if value is math:
            return MATH
        if isinstance(value, DeviceFunction):
            if value not in known:
                known[value] = rebuilt(value.function)
            return known[value]
        return known.get(value, value) if isinstance(value, Words) else value

    def rebuilt(function: types.FunctionType) -> types.FunctionType:
        used = {name: meaning(function.__globals__[name]) for name in _names(function.__code__) if name in function.__globals__}
        cells = tuple(types.CellType(meaning(cell.cell_contents)) for cell in function.__closure__ or ())
        used |= {MARK: True, "__builtins__": builtins}
        return types.FunctionType(function.__code__, used, function.__name__, function.__defaults__, cells)

    return rebuilt(function)


def _names(code: types.CodeType) -> set[str]:
    """All global names that the code may look up, also in comprehensions."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
