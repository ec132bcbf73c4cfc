"""PyTorch's names of hyper-parameters get an answer instead of a bare TypeError."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

TORCH: dict[str, str] = {
    "lr": "the rate is the second argument of update(), given at every step, e.g. by a schedule", "weight_decay": "use decay=",
    "betas": "use beta1= and beta2=", "alpha": "use smoothing=", "eps": "use epsilon=", "centered": "use centred=",
    "dampening": "multiply the rate instead", "ns_steps": "use iterations=", "trust_coefficient": "use trust=",
    "amsgrad": "it is not offered", "maximize": "negate the loss",
}


def our_names(init: Callable[..., None]) -> Callable[..., None]:
    """Decorator of an optimiser's `__init__`: an unknown keyword is a TypeError that says the name to use."""
    known = [name for name in inspect.signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def checked(self: Any, *values: Any, **named: Any) -> None:
        for key in named:
            if key not in known:
                cure = TORCH.get(key, "")
                if not cure or (cure.startswith("use ") and cure[4:].split("=")[0] not in known):
                    cure = f"its options are: {', '.join(known[1:])}"
                raise TypeError(f"{type(self).__name__} got {key!r}; {cure}")
        init(self, *values, **named)
    return checked
