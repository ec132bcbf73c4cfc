"""Hyper-parameters are checked by name before anything is made of them."""
from __future__ import annotations

import math

from tinygradconv.geometry import real


def number(where: str, name: str, value: object, *, above: float = -math.inf, at_least: float = -math.inf, below: float = math.inf,
           at_most: float = math.inf) -> float:
    """`value` as a finite float within these bounds. TypeError, ValueError: `where: name must be at least 0 and below 1, got 2`."""
    found = real(name, value, where=where)
    if above < found < below and at_least <= found <= at_most:
        return found
    bounds = (("above", above), ("at least", at_least), ("below", below), ("at most", at_most))
    said = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
    raise ValueError(f"{where}: {name} must be {said}, got {value}")


def fraction(where: str, name: str, value: object) -> float:
    """A momentum or another share of what was before: in [0, 1)."""
    return number(where, name, value, at_least=0, below=1)
