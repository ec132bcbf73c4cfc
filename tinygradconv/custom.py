"""Ops of your own: any NumPy function, with a derivative rule for each input."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygradconv.autodiff import Primitive
from tinygradconv.tensor import Tensor

Rule = Callable[..., Tensor]


def custom_op(forward: Callable[..., np.ndarray], *, vjp: Rule | dict[str, Rule], name: str | None = None) -> Primitive:
    """An op of your own: `forward` on NumPy arrays, `vjp` a rule (or a dict of rules by input) on tensors.

    A rule takes the cotangent g and asks for inputs, `y` and keyword options by name, as every rule does. For a ufunc, or a
    function whose parameters cannot be seen, the one rule's own parameters name the inputs.

    >>> import numpy as np, tinygradconv as tgc
    >>> sine = custom_op(np.sin, vjp=lambda g, x: g * tgc.cos(x), name="sine")
    >>> x = Tensor(0.0, requires_grad=True)
    >>> grad(sine(x), x).item()
    1.0
    """
    try:
        parameters = None if isinstance(forward, np.ufunc) else inspect.signature(forward).parameters.values()
    except (ValueError, TypeError):
        parameters = None
    if parameters is not None:
        inputs = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    else:
        inputs = list(vjp) if isinstance(vjp, dict) else [n for n in list(inspect.signature(vjp).parameters)[1:] if n != "y"] or ["x"]

    def on_arrays(be: Any, *arrays: Any, **options: Any) -> Any:
        made = np.asarray(forward(*[be.to_numpy(a) for a in arrays], **options))
        if made.dtype != arrays[0].dtype and made.dtype.kind == "f":
            made = made.astype(arrays[0].dtype)
        return be.asarray(made)

    op = Primitive(on_arrays, name=name or getattr(forward, "__name__", "custom_op"), inputs=inputs)
    if parameters is not None:
        op.options = tuple(p.name for p in parameters if p.name not in inputs)
    return op.vjp(**(vjp if isinstance(vjp, dict) else {inputs[0]: vjp}))
