"""Names of parameters are NumPy's; another library's spelling gets an answer instead of a bare TypeError."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

# What people type: what it may be called here, the first one that the function has.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "dim": ("axis", "axes", "shape"), "dims": ("axis", "axes", "shape"), "keepdim": ("keepdims",), "input": ("x",), "tensor": ("x",),
    "tensors": ("arrays",), "other": ("b",), "exponent": ("b",),
    "min": ("lower",), "max": ("upper",), "a_min": ("lower",), "a_max": ("upper",),
    "negative_slope": ("slope",), "unbiased": ("correction",), "ddof": ("correction",), "index": ("indices",), "src": ("values",),
    "pad": ("pad_width",), "padding": ("pad_width",), "value": ("constant_values",), "shifts": ("shift",), "size": ("shape",),
    "split_size_or_sections": ("indices_or_sections",), "sections": ("indices_or_sections",), "newshape": ("shape",), "eps": ("epsilon",),
}


def numpy_names(function: Function) -> Function:
    """Decorator: an unknown keyword is a TypeError that says the name to use.

    `x.sum(dim=1)` raises "sum() got 'dim'; tinygradconv follows NumPy: use axis=".
    """
    known = inspect.signature(function).parameters.keys()
    name = function.__name__

    @functools.wraps(function)
    def checked(*values: Any, **named: Any) -> Any:
        if named and not named.keys() <= known:
            raise TypeError(_answer(name, next(key for key in named if key not in known), known))
        return function(*values, **named)
    return checked


def _answer(name: str, got: str, known: Any) -> str:
    for ours in SPELLINGS.get(got, ()):
        if ours in known:
            return f"{name}() got {got!r}; tinygradconv follows NumPy: use {ours}="
    if got in ("inplace", "out"):
        return f"{name}() got {got!r}; tinygradconv changes no tensor in place: use the result, e.g. x = {name}(x)"
    return f"{name}() got {got!r}; its parameters are: {', '.join(known)}"
