"""The networks by name: `get("resnet20")` gives a spec and the input that it is made for."""
from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from tinygradconv.ops.spelling import numpy_names
from tinygradconv.spec import Spec

from . import alexnet, googlenet, lenet, resnet, vgg, zfnet
from .lenet import lenet5


@dataclasses.dataclass(frozen=True)
class Entry:
    """A network of the zoo: `make(classes=…)` gives its spec, `input` is the shape (height, width, channels) that it is made for.

    `has_heads`: it has auxiliary heads, and `make` takes `heads`.
    """

    make: Callable[..., Spec]
    input: tuple[int, int, int] = (224, 224, 3)
    has_heads: bool = False


SMALL = (32, 32, 3)

MODELS: dict[str, Entry] = {
    "lenet5": Entry(lenet.lenet, (28, 28, 1)),
    "lenet5_1998": Entry(lenet.lenet5_1998, (32, 32, 1)),
    "alexnet": Entry(alexnet.alexnet),
    "alexnet_2012": Entry(alexnet.alexnet_2012, (227, 227, 3)),
    "zfnet": Entry(zfnet.zfnet),
    **{f"vgg{depth}": Entry(partial(vgg.vgg, depth)) for depth in vgg.DEPTHS},
    **{f"vgg{depth}_bn": Entry(partial(vgg.vgg, depth, batch_norm=True)) for depth in vgg.DEPTHS},
    "googlenet": Entry(googlenet.googlenet, has_heads=True),
    "googlenet_2014": Entry(googlenet.googlenet_2014, has_heads=True),
    **{f"resnet{depth}": Entry(partial(resnet.resnet, depth)) for depth in resnet.DEPTHS},
    **{f"resnet{depth}": Entry(partial(resnet.cifar, depth), SMALL) for depth in resnet.CIFAR_DEPTHS},
    **{f"plain{depth}": Entry(partial(resnet.cifar, depth, residual=False), SMALL) for depth in resnet.CIFAR_DEPTHS},
}


@numpy_names
def get(name: str, *, classes: int | None = None, heads: bool = False) -> tuple[Spec, tuple[int, ...]]:
    """(spec, default input shape) of the network called `name`, for its own number of classes unless `classes` says otherwise.

    `heads` adds the auxiliary heads that GoogLeNet is trained with. ValueError for a name that there is not (it lists the names and says
    which is closest) and for heads where there are none.
    """
    if name not in MODELS:
        near = _closest(str(name).lower())
        closest = f"; did you mean {near!r}?" if near else "."
        raise ValueError(f"there is no model {name!r}{closest} The models are: {', '.join(MODELS)}")
    entry = MODELS[name]
    if heads and not entry.has_heads:
        have = " and ".join(known for known, other in MODELS.items() if other.has_heads)
        raise ValueError(f"{name} has no auxiliary heads; {have} have. Leave heads out")
    options = {**({} if classes is None else {"classes": classes}), **({"heads": True} if heads else {})}
    return entry.make(**options), entry.input


def _closest(name: str) -> str | None:
    """The model whose name is most like this one; of a family and a depth that it does not have, the nearest depth."""
    parts = re.fullmatch(r"([a-z]+)(\d+)(_bn)?", name)
    if parts:
        family, depth, ending = parts[1], int(parts[2]), parts[3] or ""
        depths = {int(found[1]) for known in MODELS if (found := re.fullmatch(rf"{family}(\d{{2,}}){ending}", known))}
        if depths:
            return f"{family}{min(sorted(depths), key=lambda known: abs(known - depth))}{ending}"
    near = difflib.get_close_matches(name, MODELS, n=1)
    return near[0] if near else None


def __getattr__(name: str) -> Any:
    """The answer to torchvision's way of asking: `models.resnet50`."""
    cure = f"; write spec, shape = models.get({name!r})" if name in MODELS else ""
    raise AttributeError(f"tinygradconv.models has no {name!r}{cure}")


__all__ = ["MODELS", "Entry", "get", "lenet5"]
