"""Networks that are published in a few depths."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Made = TypeVar("Made")


def of_depth(family: str, depth: int, known: Mapping[int, Made]) -> Made:
    """known[depth]; ValueError lists the depths that there are."""
    if depth not in known:
        raise ValueError(f"{family}: there is none of depth {depth!r}; depth must be one of {', '.join(map(str, known))}")
    return known[depth]
