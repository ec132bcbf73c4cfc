"""Ops of your own: any NumPy function, with a derivative rule for each input."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygradconv.autodiff import Primitive
from tinygradconv.geometry import described
from tinygradconv.promotion import floating_result
from tinygradconv.tensor import Tensor, as_array

Rule = Callable[..., Tensor]


def custom_op(forward: Callable[..., np.ndarray], *, vjp: Rule | dict[str, Rule], name: str | None = None) -> Primitive:
    """An op of your own: `forward` on NumPy arrays, `vjp` a rule (or a dict of rules by input) on tensors.

    A rule takes the cotangent g and asks for inputs, `y` and keyword options by name, as every rule does. For a ufunc, or a
    function whose parameters cannot be seen, the one rule's own parameters name the inputs. A floating result takes the widest
    floating dtype of the inputs, float32 where all are integers. TypeError for what is no function, or a function of nothing.

    >>> import numpy as np, tinygradconv as tgc
    >>> sine = custom_op(np.sin, vjp=lambda g, x: g * tgc.cos(x), name="sine")
    >>> x = Tensor(0.0, requires_grad=True)
    >>> grad(sine(x), x).item()
    1.0
    """
    rules = tuple(vjp.values()) if isinstance(vjp, dict) else (vjp,)
    for said, function in (("forward", forward), *(("vjp", rule) for rule in rules)):
        if not callable(function):
            raise TypeError(f"custom_op: {said} must be a function, got {described(function)}")
    try:
        parameters = None if isinstance(forward, np.ufunc) else inspect.signature(forward).parameters.values()
    except (ValueError, TypeError):
        parameters = None
    if parameters is not None:
        inputs = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    else:
        inputs = list(vjp) if isinstance(vjp, dict) else [n for n in list(inspect.signature(vjp).parameters)[1:] if n != "y"] or ["x"]
    if not inputs:
        raise TypeError(f"custom_op: forward must take at least one array, but {forward!r} has no positional parameter without a default")

    def on_arrays(be: Any, *arrays: Any, **options: Any) -> Any:
        given = [_read_only(be.to_numpy(array)) for array in arrays]
        dtype = floating_result(*[array.dtype for array in arrays])            # NumPy's functions of integers answer in float64
        try:
            made = np.asarray(forward(*given, **options))
        except ValueError as problem:
            if "read-only" in str(problem):
                raise ValueError(f"{op.name}: its forward function may not change its inputs ({problem}). Copy them first") from None
            raise
        try:
            made = as_array(made.astype(dtype) if made.dtype == np.float16 else made)
        except TypeError as problem:
            raise TypeError(f"{op.name}: its forward function must return an array of numbers: {problem}") from None
        if any(np.may_share_memory(made, array) for array in given):          # a view would not see that its input was changed in place
            made = made.copy()
        return be.asarray(made.astype(dtype, copy=False) if made.dtype.kind == "f" else made)

    op = Primitive(on_arrays, name=name or getattr(forward, "__name__", "custom_op"), inputs=inputs)
    if parameters is not None:
        op.options = tuple(p.name for p in parameters if p.name not in inputs)
        op.defaults = {p.name: p.default for p in parameters if p.name in op.options and p.default is not p.empty}
    return op.vjp(**(vjp if isinstance(vjp, dict) else {inputs[0]: vjp}))


def _read_only(array: np.ndarray) -> np.ndarray:
    """The same values, which the user's function cannot change."""
    view = array.view()
    view.flags.writeable = False
    return view
