"""Augmentations as JSON and back, so that a recipe can be written down.

    [{"name": "PadCrop", "padding": 4, …}, {"name": "Flip", …}]      of      PadCrop(4) >> Flip()
"""
from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from .base import Augmentation, Chain
from .color import ColorJitter, Lighting
from .crop import Flip, PadCrop, RandomResizedCrop
from .cutout import Cutout
from .distort import Distort
from .mix import CutMix, Mixup
from .normalize import Normalize

KINDS = (ColorJitter, CutMix, Cutout, Distort, Flip, Lighting, Mixup, Normalize, PadCrop, RandomResizedCrop)
KNOWN: dict[str, type[Augmentation]] = {kind.__name__: kind for kind in KINDS}


def to_json(augment: Augmentation) -> list[dict[str, Any]]:
    """Each step as its name and fields, in order. TypeError: an augmentation that is none of this package's, which cannot be read again."""
    steps = augment.steps if isinstance(augment, Chain) else (augment,)
    for step in steps:
        if KNOWN.get(type(step).__name__) is not type(step):
            raise TypeError(f"{step!r} cannot be written as JSON: it is not one of {', '.join(KNOWN)}")
    return [{"name": type(step).__name__, **{each.name: _lists(getattr(step, each.name)) for each in fields(step)}} for step in steps]


def from_json(steps: Sequence[Mapping[str, Any]]) -> Augmentation:
    """The augmentation that `to_json` made this of: of one step itself, of several their Chain. ValueError, TypeError: it is none."""
    if not isinstance(steps, Sequence) or not steps or not all(isinstance(step, Mapping) and "name" in step for step in steps):
        raise ValueError(f'augmentations are written as [{{"name": "Flip"}}, …], got {steps!r:.80}')
    made = [_made(**step) for step in steps]
    return made[0] if len(made) == 1 else Chain(tuple(made))


def _made(name: str, **values: Any) -> Augmentation:
    if name not in KNOWN:
        near = difflib.get_close_matches(str(name), KNOWN, n=1)
        raise ValueError(f"there is no augmentation {name!r}{f'; did you mean {near[0]}?' if near else ''} There are: {', '.join(KNOWN)}")
    known = [each.name for each in fields(KNOWN[name])]
    for key in values:
        if key not in known:
            raise ValueError(f"{name} has no {key!r}; it has: {', '.join(known) or 'nothing'}")
    return KNOWN[name](**{key: _tuples(value) for key, value in values.items()})


def _lists(value: Any) -> Any:
    return [_lists(each) for each in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value
