"""The networks by name: `get("lenet5")` gives a spec and the input that it is made for."""
from __future__ import annotations

import difflib

from tinygradconv.spec import Spec

from .lenet import lenet5

MODELS: dict[str, tuple[Spec, tuple[int, ...]]] = {
    "lenet5": (lenet5, (28, 28, 1)),
}


def get(name: str) -> tuple[Spec, tuple[int, ...]]:
    """(spec, default input shape) of the model called `name`; ValueError lists the names and says which is closest."""
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(str(name).lower(), MODELS, n=1)
    closest = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"there is no model {name!r}{closest} The models are: {', '.join(MODELS)}")


__all__ = ["MODELS", "get", "lenet5"]
