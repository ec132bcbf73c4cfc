"""One spec after another: Chain (>>) and Scope; a head beside the network, Aux; and one spec in several places, Share.

Identity is the path. A chain calls its parts 0, 1, 2, …; a Scope gives names; the separator is `.`; and with the
parameter's own name at the end that is torchvision's name for it: `layer1.0.conv1.weight`.
"""
from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from .base import Spec, as_spec
from .combined import SEGMENT, Combined, arguments, segment
from .fields import finite, shortened
from .join import Concat


class Chain(Combined):
    """a >> b: one after another. Its parts are called 0, 1, 2, …; chains within a chain are spliced in."""

    def __init__(self, *parts: Spec) -> None:
        if not parts:
            raise TypeError("Chain needs at least one part; for nothing at all write Identity()")
        checked = [as_spec(part, "a part of a Chain") for part in parts]
        self._set(parts=tuple(itertools.chain.from_iterable(part.parts if isinstance(part, Chain) else (part,) for part in checked)))

    def children(self) -> Iterator[tuple[str, Spec]]:
        return zip(map(str, range(len(self.parts))), self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        if len(self.parts) == 1:
            return f"Chain({self.parts[0]!r})"
        said = []
        for part, copies in itertools.groupby(self.parts):
            times = len(list(copies))
            text = f"({part!r})" if isinstance(part, Concat) and part.is_positional else repr(part)
            said.append(text if times == 1 else f"{text} * {times}")
        return said[0] if len(said) == 1 else " >> ".join(said)

    def remade(self, parts: Sequence[Spec]) -> Spec:
        return Chain(*[Scope(**dict(part.children())) if isinstance(part, Chain) else part for part in parts])       # 2.0, 2.1; 3 stays 3

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        for part, at in self.places(place):
            flow = network.wire(part, flow, at)
        return flow


class Scope(Combined):
    """Scope(conv1=…, bn1=…): one after another, each under its keyword. A keyword that begins with _ leaves no segment in the path."""

    def __init__(self, /, *unnamed: Any, **parts: Spec) -> None:
        if unnamed:
            raise TypeError("Scope takes its parts by name: Scope(conv1=Conv(64, 3), …), or Scope(**parts) of a dict; without names "
                            "write a >> b")
        if not parts:
            raise TypeError("Scope needs at least one part: Scope(conv1=Conv(64, 3), …)")
        self._set(parts=tuple((segment("Scope", name), as_spec(part, f"Scope({name}=…)")) for name, part in parts.items()))

    def children(self) -> Iterator[tuple[str, Spec]]:
        return iter(self.parts)

    def __repr__(self) -> str:
        return f"Scope({arguments(self.parts, first=-1)})"

    def remade(self, parts: Sequence[Spec]) -> Spec:
        return Scope(**{name: part for (name, _), part in zip(self.parts, parts)})

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        for part, at in self.places(place):
            flow = network.wire(part, flow, at)
        return flow


def _not_negative(where: str, name: str, value: Any) -> float:
    if (settled := finite(where, name, value)) < 0:
        raise ValueError(f"{where}: {name} must be at least 0, got {value!r}")
    return settled


class Aux(Combined):
    """A head beside the network, for training only: x passes on unchanged, and head(x) joins the loss with `weight`."""

    def __init__(self, head: Spec, weight: float = 0.3) -> None:
        self._set(head=as_spec(head, "the head of an Aux"), weight=_not_negative("Aux", "weight", weight))

    def children(self) -> Iterator[tuple[str, Spec]]:
        return iter((("head", self.head),))

    def _key(self) -> tuple[Any, ...]:
        return self.head, self.weight

    def __repr__(self) -> str:
        return f"Aux({self.head!r})" if self.weight == 0.3 else f"Aux({self.head!r}, weight={self.weight!r})"

    def places(self, place: Any) -> Iterator[tuple[Spec, Any]]:
        return iter(((self.head, place.in_training()),))

    def remade(self, parts: Sequence[Spec]) -> Spec:
        return Aux(*parts, weight=self.weight)

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        network.add_head(place.path, network.wire(self.head, flow, place.in_training()), self.weight)
        return flow


class Share(Combined):
    """Share(key, spec): every use of one key has the same parameters, under the path `key`."""

    def __init__(self, key: str, spec: Spec) -> None:
        body = as_spec(spec, "the spec of a Share")
        if not isinstance(key, str) or not all(SEGMENT.fullmatch(part) for part in key.split(".")):
            raise ValueError(f"Share: key must be a path of letters, digits and _ with dots between, got {shortened(key)}")
        waiting = [body]
        while waiting:
            inner = waiting.pop()
            if isinstance(inner, Share) and inner.key == key:
                raise ValueError(f"Share {key!r} contains itself")
            waiting.extend(child for _, child in inner.children())
        self._set(key=key, spec=body)

    def children(self) -> Iterator[tuple[str, Spec]]:
        return iter(((self.key, self.spec),))

    def __repr__(self) -> str:
        return f"Share({self.key!r}, {self.spec!r})"

    def places(self, place: Any) -> Iterator[tuple[Spec, Any]]:
        return iter(((self.spec, place.shared(self.key)),))

    def remade(self, parts: Sequence[Spec]) -> Spec:
        return Share(self.key, *parts)

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        ((spec, at),) = self.places(place)
        return network.wire(spec, flow, network.one_more_use(spec, at))
