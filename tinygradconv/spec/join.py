"""Branches that come together: Concat (|), Sum and Residual."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from tinygradconv.ops.join import concat
from tinygradconv.tensor import Tensor

from .base import Shape, Spec, as_spec
from .combined import Combined, arguments, segment
from .layers.shape import Identity

BRANCHES = 256                             # that join at one place; GoogLeNet has 4


class _Join(Combined):
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
        return f"{type(self).__name__}({arguments(self.branches)})"

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


class Residual(Combined):
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
