# cython: annotation_typing=False
# A wrong type is answered by errors of our own.
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


# What people look for under another library's name: what to write instead.
ELSEWHERE: dict[str, str] = {
    "view": "reshape", "permute": "permute_dims", "transpose": "permute_dims, or .mT for the last two axes", "t": ".T", "cat": "concat",
    "unsqueeze": "expand_dims", "swapaxes": "moveaxis or permute_dims", "dim": ".ndim", "ravel": "flatten", "clone": "Tensor(x)",
    "copy": "Tensor(x)", "cuda": "to('cuda')", "cpu": "to('cpu')", "float": "astype('float32')", "double": "astype('float64')",
    "long": "astype('int64')", "tensor": "Tensor", "array": "Tensor", "from_numpy": "Tensor", "mm": "matmul, or a @ b",
    "bmm": "matmul, or a @ b", "rand": "ops.random.uniform", "randn": "ops.random.normal", "clamp": "clip", "absolute": "abs",
    "mul": "multiply", "div": "divide", "sub": "subtract", "neg": "negative", "mse_loss": "mse", "l1_loss": "l1", "dot": "matmul, or a @ b",
}


def missing(owner: str, name: str) -> AttributeError:
    """The error for an attribute that `owner` does not have, with the name to use where another library's is known."""
    cure = f"; use {ELSEWHERE[name]}" if name in ELSEWHERE else ""
    return AttributeError(f"{owner} has no {name!r}{cure}")


def numpy_names(function: Function) -> Function:
    """Decorator: an unknown keyword is a TypeError that says the name to use.

    `x.sum(dim=1)` raises "sum() got 'dim'; tinygradconv follows NumPy: use axis=".
    """
    known = inspect.signature(function).parameters.keys()
    name = function.__name__

    @functools.wraps(function)
    def checked(*values: Any, **named: Any) -> Any:
        try:
            return function(*values, **named)
        except TypeError:
            unknown = [key for key in named if key not in known]
            if unknown:
                raise TypeError(_answer(name, unknown[0], known)) from None
            raise
    return checked


def _answer(name: str, got: str, known: Any) -> str:
    for ours in SPELLINGS.get(got, ()):
        if ours in known:
            return f"{name}() got {got!r}; tinygradconv follows NumPy: use {ours}="
    if got in ("inplace", "out"):
        return f"{name}() got {got!r}; tinygradconv changes no tensor in place: use the result, e.g. x = {name}(x)"
    return f"{name}() got {got!r}; its parameters are: {', '.join(known)}"
