"""The networks by name: `get("resnet20")` gives a spec and the input that it is made for."""
from __future__ import annotations

import difflib

from tinygradconv.spec import Spec

from . import resnet, vgg
from .lenet import lenet5

PHOTOGRAPH, CIFAR = (224, 224, 3), (32, 32, 3)

MODELS: dict[str, tuple[Spec, tuple[int, ...]]] = {
    "lenet5": (lenet5, (28, 28, 1)),
    **{f"vgg{depth}{kind}": (getattr(vgg, f"vgg{depth}{kind}"), PHOTOGRAPH) for kind in ("", "_bn") for depth in (11, 13, 16, 19)},
    **{f"resnet{depth}": (getattr(resnet, f"resnet{depth}"), PHOTOGRAPH) for depth in (18, 34, 50, 101, 152)},
    **{f"{kind}{depth}": (getattr(resnet, f"{kind}{depth}"), CIFAR) for kind in ("resnet", "plain") for depth in (20, 32, 44, 56, 110)},
}


def get(name: str) -> tuple[Spec, tuple[int, ...]]:
    """(spec, default input shape) of the model called `name`; ValueError lists the names and says which is closest."""
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(str(name).lower(), MODELS, n=1)
    closest = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"there is no model {name!r}{closest} The models are: {', '.join(MODELS)}")


__all__ = ["MODELS", "get", "lenet5"]
