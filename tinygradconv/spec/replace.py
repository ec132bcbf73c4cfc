"""A spec with one part replaced by another, found by its path: a fold over the spec, which itself does not change."""
from __future__ import annotations

from typing import Any

from .base import Spec, as_spec
from .combine import Share
from .infer import Place
from .paths import path_in


def replace(spec: Spec, path: str, part: Any) -> Spec:
    """`spec` with what stands at `path` replaced by `part`; see Spec.replace."""
    new = as_spec(part, "replace: what comes in its place")
    known: dict[str, None] = {}
    found = False

    def fold(old: Spec, place: Place) -> Spec:
        nonlocal found
        known[place.label] = None
        if place.label == path and not (isinstance(old, Share) and old.key == path):         # what is shared goes, not that it is
            found = True
            return new
        inner = list(old.places(place))
        parts = [fold(child, at) for child, at in inner]
        return old.remade(parts) if any(made is not child for made, (child, _) in zip(parts, inner)) else old

    made = fold(spec, Place())
    if not found:
        path_in("replace", path, known, "this spec")
    return made
