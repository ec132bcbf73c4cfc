"""Arguments of layers that are not there: what there is instead, and what another library's name for one is here."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

NOT_HERE = ("in_channels", "in_features", "num_features", "num_channels", "input_shape", "input_dim")
ELSEWHERE = {"out_channels": "channels", "filters": "channels", "out_features": "features", "units": "features", "kernel": "kernel_size",
             "pool_size": "kernel_size", "strides": "stride", "num_groups": "groups", "eps": "epsilon", "p": "rate", "use_bias": "bias",
             "kernel_initializer": "init", "negative_slope": "slope"}


def explained(init: Callable[..., None]) -> Callable[..., None]:
    """A layer's __init__ whose error about which arguments there are says so, in the words of the layer."""
    @functools.wraps(init)
    def init_or_explain(self: Any, *arguments: Any, **named: Any) -> None:
        try:
            init(self, *arguments, **named)
        except TypeError:
            signature = inspect.signature(init)              # which takes long enough not to be done for every layer at import
            try:
                signature.bind(self, *arguments, **named)
            except TypeError as problem:
                kind = type(self).__name__
                taken = [one.replace(annotation=one.empty) for name, one in signature.parameters.items() if name != "self"]
                raise TypeError(f"{kind}: {_said(named, signature) or problem}. It is {kind}{inspect.Signature(taken)}") from None
            raise
    return init_or_explain


def _said(named: dict[str, Any], signature: inspect.Signature) -> str:
    """What there is to say of the first name that the layer does not have, if there is one."""
    unknown = next((name for name in named if name not in signature.parameters), None)
    if unknown is None:
        return ""
    cure = ". Leave it out: shapes flow forward from the input" if unknown in NOT_HERE else ""
    if ELSEWHERE.get(unknown) in signature.parameters:
        cure = f"; write {ELSEWHERE[unknown]}="
    return f"there is no argument {unknown!r}{cure}"
