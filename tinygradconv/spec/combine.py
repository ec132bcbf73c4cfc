"""What layers are combined with: Chain (>>), Concat (|), Sum, Residual, Scope, Aux and Share.

Identity is the path. A chain calls its parts 0, 1, 2, …; a Scope gives names; the separator is `.`; and with the
parameter's own name at the end that is torchvision's name for it: `layer1.0.conv1.weight`.
"""
from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from tinygradconv.ops.join import concat
from tinygradconv.tensor import Tensor

from .base import DEEPEST, KINDS, LONGEST, MOST, Shape, Spec, as_spec
from .fields import finite, shortened
from .layers.shape import Identity

BRANCHES = 256                             # that join at one place; GoogLeNet has 4
SEGMENT = re.compile(r"[A-Za-z0-9_]+")


class _Combined(Spec):
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


class Chain(_Combined):
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


class _Join(_Combined):
    """Several branches with the same input, at most BRANCHES: positional ones are called 0, 1, 2, …, keywords by their name."""

    def __init__(self, /, *branches: Spec, **named: Spec) -> None:
        kind = type(self).__name__
        if not branches and not named:
            raise TypeError(f"{kind} needs at least one branch")
        numbered = {str(i): branch for i, branch in enumerate(branches)}
        if twice := numbered.keys() & named.keys():
            raise ValueError(f"{kind}: two branches are called {min(twice)!r}")
        self._join({**numbered, **named})

    def _join(self, branches: Mapping[str, Spec]) -> None:
        kind = type(self).__name__
        if len(branches) > BRANCHES:
            raise ValueError(f"{kind}: there are at most {BRANCHES} branches, and these would be {len(branches):,}")
        self._set(branches=tuple((segment(kind, name), as_spec(branch, f"a branch of {kind}")) for name, branch in branches.items()))

    @classmethod
    def of(cls, branches: Mapping[str, Spec]) -> Self:
        """The branches under these names, in this order."""
        made = object.__new__(cls)
        made._join(branches)
        return made

    def children(self) -> Iterator[tuple[str, Spec]]:
        return iter(self.branches)

    @property
    def is_positional(self) -> bool:
        """Whether no branch has a name of its own."""
        return all(name == str(i) for i, (name, _) in enumerate(self.branches))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_arguments(self.branches)})"

    def remade(self, parts: Sequence[Spec]) -> Spec:
        return self.of({name: part for (name, _), part in zip(self.branches, parts)})

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        return network.add(self, [network.wire(branch, flow, at) for branch, at in self.places(place)], place)

    def _differing(self, where: str, shapes: tuple[Shape, ...], rule: str) -> ValueError:
        gives = {name: shape for (name, _), shape in zip(self.branches, shapes)}
        if len(gives) > 12:                           # one of each kind says enough
            gives = {name: shape for shape, name in {shape: name for name, shape in list(gives.items())[::-1]}.items()}
        ends = ", ".join(f"{name} gives {shape}" for name, shape in gives.items())
        if len(set(map(len, shapes))) > 1:
            cure = "as many axes: a Flatten() or GlobalAvgPool() in all or in none"
        else:
            cure = "the same stride, and padding='same'" if len({shape[:-1] for shape in shapes}) > 1 else "equally many channels"
        return ValueError(f"{where} {rule}; {ends}. Give the branches {cure}")


class Concat(_Join):
    """a | b: the same input into every branch, the channels of their outputs side by side."""

    def __repr__(self) -> str:
        parts = [branch for _, branch in self.branches]
        if self.is_positional and len(parts) > 1 and not any(isinstance(part, Concat) and part.is_positional for part in parts):
            return " | ".join(map(repr, parts))
        return super().__repr__()

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if len({shape[:-1] for shape in shapes}) > 1:
            raise self._differing(where, shapes, "lays channels side by side, so all other axes must agree") from None
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def order(self, flows: Sequence[Any]) -> tuple[Shape, ...] | None:
        if not any(flow.flattened for flow in flows):
            return None
        return tuple(shape for flow in flows for shape in flow.flattened or (flow.shape,))

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return concat(inputs, axis=-1)


class Sum(_Join):
    """The same input into every branch, their outputs added."""

    keeps_order, role = True, "add"

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        if len(set(shapes)) > 1:
            raise self._differing(where, shapes, "adds its branches, so their shapes must be equal")
        return shapes[0]

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        total = inputs[0]
        for other in inputs[1:]:
            total = total + other
        return total


class Residual(_Combined):
    """body(x) + shortcut(x). In paths the body leaves no segment, and the shortcut is `downsample`, torchvision's word for it."""

    keeps_order, role = True, "add"

    def __init__(self, body: Spec, shortcut: Spec = Identity()) -> None:  # noqa: B008  (a spec is a value)
        self._set(body=as_spec(body, "the body of a Residual"), shortcut=as_spec(shortcut, "the shortcut of a Residual"))

    def children(self) -> Iterator[tuple[str, Spec]]:
        return iter((("body", self.body), ("shortcut", self.shortcut)))

    def __repr__(self) -> str:
        return f"Residual({self.body!r})" if self.shortcut == Identity() else f"Residual({self.body!r}, {self.shortcut!r})"

    def places(self, place: Any) -> Iterator[tuple[Spec, Any]]:
        return iter(((self.body, place.child("_body")), (self.shortcut, place.child("downsample"))))

    def remade(self, parts: Sequence[Spec]) -> Spec:
        return Residual(*parts)

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        (_, at_body), (_, at_shortcut) = self.places(place)
        body = network.wire(self.body, flow, at_body)
        shortcut = flow if self.shortcut == Identity() else network.wire(self.shortcut, flow, at_shortcut)
        return network.add(self, (body, shortcut), place)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        body, shortcut = shapes
        if body == shortcut:
            return body
        if len(body) == len(shortcut) == 3 and (shortcut[0] // 2 + 1 < body[0] < shortcut[0] or shortcut[0] < body[0]):   # not by a stride
            cure = "Give the body's windows padding='same', so that it keeps the height and width of its input"
        elif len(body) == len(shortcut) == 3:
            strides = [max(1, s // b) for s, b in zip(shortcut[:2], body[:2])]
            stride = "" if strides == [1, 1] else f", stride={strides[0] if strides[0] == strides[1] else tuple(strides)}"
            cure = f"Give a shortcut that ends in {body}, e.g. Conv({body[-1]}, 1{stride}, bias=False) >> BatchNorm()"
        else:
            cure = f"Give a shortcut that ends in {body}" + (f", e.g. Dense({body[0]})" if len(body) == len(shortcut) == 1 else "")
        raise ValueError(f"{where} adds body {body} to shortcut {shortcut}. {cure}")

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        return inputs[0] + inputs[1]


class Scope(_Combined):
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
        return f"Scope({_arguments(self.parts, first=-1)})"

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


class Aux(_Combined):
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


class Share(_Combined):
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


def segment(where: str, name: Any) -> str:
    """`name` if it can be one segment of a path: letters, digits and _."""
    if not isinstance(name, str) or not SEGMENT.fullmatch(name):
        raise ValueError(f"{where}: a name must be letters, digits and _, got {shortened(name)}")
    return name


def _arguments(items: tuple[tuple[str, Spec], ...], first: int = 0) -> str:
    """Items as Python writes arguments: positional while they are called 0, 1, 2, … (unless first < 0), then keywords."""
    plain = list(itertools.takewhile(lambda pair: first >= 0 and pair[1][0] == str(pair[0]), enumerate(items)))
    rest = items[len(plain):]
    said = [repr(spec) for _, (_, spec) in plain]
    if all(name.isidentifier() for name, _ in rest):
        return ", ".join(said + [f"{name}={spec!r}" for name, spec in rest])
    return ", ".join([*said, "**{" + ", ".join(f"{name!r}: {spec!r}" for name, spec in rest) + "}"])
