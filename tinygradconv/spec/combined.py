"""What all combinations of specs share: they are values, their parts have names, and their size is bounded."""
from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from .base import DEEPEST, KINDS, LONGEST, MOST, Spec
from .fields import shortened

SEGMENT = re.compile(r"[A-Za-z0-9_]+")


class Combined(Spec):
    """A spec made of specs: immutable, compared and hashed by what `_key` says."""

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            KINDS[cls.__name__] = cls

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        kind, inner = type(self).__name__, list(self.children())
        object.__setattr__(self, "depth", 1 + max(child.depth for _, child in inner))
        object.__setattr__(self, "count", sum(child.count for _, child in inner))
        object.__setattr__(self, "length", max(len(name) + 1 + child.length for name, child in inner))
        if self.depth > DEEPEST:
            raise ValueError(f"{kind}: specs nest at most {DEEPEST} deep")
        if self.count > MOST:
            raise ValueError(f"{kind}: a spec holds at most {MOST:,} layers, and this would be {self.count:,}")
        if self.length > LONGEST:
            raise ValueError(f"{kind}: a path is at most {LONGEST:,} characters long; give shorter names")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a spec is a value and does not change; make another {type(self).__name__} with the {name} that you want")

    __delattr__ = None

    def places(self, place: Any) -> Iterator[tuple[Spec, Any]]:
        return ((part, place.child(name)) for name, part in self.children())

    def _key(self) -> tuple[Any, ...]:
        return tuple(self.children())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._key() == self._key() if isinstance(other, Spec) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._key()))


def segment(where: str, name: Any) -> str:
    """`name` if it can be one segment of a path: letters, digits and _."""
    if not isinstance(name, str) or not SEGMENT.fullmatch(name):
        raise ValueError(f"{where}: a name must be letters, digits and _, got {shortened(name)}")
    return name


def arguments(items: tuple[tuple[str, Spec], ...], first: int = 0) -> str:
    """Items as Python writes arguments: positional while they are called 0, 1, 2, … (unless first < 0), then keywords."""
    plain = list(itertools.takewhile(lambda pair: first >= 0 and pair[1][0] == str(pair[0]), enumerate(items)))
    rest = items[len(plain):]
    said = [repr(spec) for _, (_, spec) in plain]
    if all(name.isidentifier() for name, _ in rest):
        return ", ".join(said + [f"{name}={spec!r}" for name, spec in rest])
    return ", ".join([*said, "**{" + ", ".join(f"{name!r}: {spec!r}" for name, spec in rest) + "}"])
