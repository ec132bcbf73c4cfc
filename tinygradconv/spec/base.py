"""A spec is a value: what every layer and every combination of layers has in common.

    a >> b        a, then b                                  (a chain; its parts are called 0, 1, 2, …)
    a | b         a beside b: the same input, channels concatenated
    block * 3     three independent copies, one after another

A spec holds no arrays, no device and no number of input channels: shapes flow forward from the input that is given to
`spec.table(shape)` or `spec.build(shape)`. Two specs that say the same are equal, and `repr` is the code that makes them.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, dataclass_transform

from tinygradconv.geometry import described, integer

from .arguments import explained
from .fields import settle

Shape = tuple[int, ...]

DEEPEST = 100          # how deeply specs nest; ResNet-152 needs 5
MOST = 20_000          # how many layers a spec holds; ResNet-152 has 517
LONGEST = 1_000        # how many characters a path has; ResNet-152 needs 28

KINDS: dict[str, type[Spec]] = {}        # every kind of spec by its name: what JSON may ask for


class Kind(type):
    """The class of the kinds of specs: `ReLU >> Flatten` says what is missing."""

    def __rshift__(cls, other: Any) -> Spec:
        return as_spec(cls, "the left side of >>")


class Spec(metaclass=Kind):
    """A description of a network or of a part of one; see the module for its operators."""

    depth = 1                # how deeply other specs nest in this one
    count = 1                # how many layers it holds
    length = 0               # how many characters the paths in it have at most
    random = False           # whether it draws random numbers, so that its path must be its own
    keeps_order = False      # whether a flattened image stays one: value by value, nothing mixed
    takes: frozenset[str] = frozenset()      # the roles of the layers behind this one that it can play on its own way out (plan.py):
    role = ""                                # "norm", "add", "relu", "tanh"; what takes "moments" makes a batch norm's sums in training

    # Combining.
    def __rshift__(self, other: Any) -> Spec:
        return KINDS["Chain"](*_parts(self), *_parts(as_spec(other, "the right side of >>")))

    def __rrshift__(self, other: Any) -> Spec:
        return as_spec(other, "the left side of >>") >> self

    def __or__(self, other: Any) -> Spec:
        return KINDS["Concat"](*_branches(self), as_spec(other, "the right side of |"))

    def __ror__(self, other: Any) -> Spec:
        return as_spec(other, "the left side of |") | self

    def __mul__(self, copies: Any) -> Spec:
        times = integer("copies", copies, at_least=1, where="block * copies")
        if times * self.count > MOST:
            raise ValueError(f"block * {times}: a spec holds at most {MOST:,} layers, and this would be {times * self.count:,}")
        return KINDS["Chain"](*_parts(self) * times)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Spec:
        raise TypeError("+ does not combine layers: Python binds + before >>, so `a >> b + c` would mean a >> (b + c). "
                        "To add outputs write Sum(a >> b, c) or Residual(body, shortcut); for one after another write a >> b")

    __radd__ = __add__

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError(f"{type(self).__name__} is a description and holds no weights. Build a model first: "
                        f"model = spec.build((28, 28, 1)), then model(x)")

    # Reading.
    def infer(self, shape: Shape) -> Any:
        """The network that this spec describes for one input of `shape` (height, width, channels): every layer in order, with its shapes.

        ValueError with the path of the layer and a cure where something does not fit.
        """
        from .infer import infer
        return infer(self, shape)

    def table(self, shape: Shape, *, dtype: Any = "float32") -> Any:
        """Layer by layer for one input of `shape`: output shape, parameters, MACs, memory, receptive field. Allocates no arrays."""
        from .table import tabulate
        return tabulate(self, shape, dtype)

    def plan(self, shape: Shape, *, train: bool = True) -> Any:
        """Which layers run as one op for inputs of `shape`, and why; print it."""
        from .infer import infer
        from .plan import plan
        return plan(infer(self, shape), train=train)

    def build(self, shape: Shape, *, seed: int = 0, dtype: Any = "float32", fuse: bool = True) -> Any:
        """A model with weights for inputs of `shape` (without the batch axis), drawn from `seed` and each parameter's path.

        `fuse=False` runs every layer by itself (see `plan`), which gives the same numbers, only slower.
        """
        from .build import Model
        return Model(self, shape, seed=seed, dtype=dtype, fuse=fuse)

    def replace(self, path: str, part: Spec) -> Spec:
        """The same spec with what stands at `path` replaced by `part`: `resnet50.replace("fc", Dense(10))`.

        Every use of a Share's key is replaced, `downsample` is the shortcut of a Residual, and all other paths stay as they are: a chain in
        the place of part 2 of a chain has the paths 2.0, 2.1, …. ValueError with the closest paths where there is no such one.
        """
        from .replace import replace
        return replace(self, path, part)

    def diagram(self, shape: Shape | None = None, *, collapse: str | None = "op", direction: str = "vertical", title: str = "") -> Any:
        """The network drawn as SVG: `.svg` is the text, `.save(path)` writes it, a notebook shows it. With a `shape`, sizes and parameters.

        `collapse`: "op" draws layers that run as one (see `plan`) in one box, "scope" each scope of the top level, None every layer; but
        for None, what repeats is drawn once, with its number. `direction` is "vertical" or "horizontal"; `title` names the picture.
        """
        from .diagram import draw
        return draw(self, shape, collapse, direction, title)

    def mermaid(self, shape: Shape | None = None, *, collapse: str | None = "op", direction: str = "vertical") -> str:
        """The same drawing as Mermaid flowchart text, which GitHub and many notebooks show."""
        from .diagram import text
        return text(self, shape, collapse, direction)

    def to_json(self, *, indent: int | None = None) -> str:
        """The spec as JSON text, which `Spec.from_json` reads back into an equal spec."""
        from .json import dump
        return dump(self, indent=indent)

    @staticmethod
    def from_json(text: str | bytes) -> Spec:
        """The spec that `to_json` wrote. Nothing is executed; ValueError says where the text is not a spec."""
        from .json import load
        return load(text)

    # What inference, tables and models ask of the spec; combinators override `wire`, layers and joins the others.
    def children(self) -> Iterator[tuple[str, Spec]]:
        """(name, spec) of the specs that this one is made of."""
        return iter(())

    def places(self, place: Any) -> Iterator[tuple[Spec, Any]]:
        """The specs that this one is made of, each with the place where it stands when this one stands at `place`."""
        return iter(())

    def remade(self, parts: Sequence[Spec]) -> Spec:
        """The same combination of other `parts`, in the order of `places`."""
        return self

    def wire(self, network: Any, flow: Any, place: Any) -> Any:
        """Add this spec's steps to the network, `flow` being what reaches it; returns what leaves it."""
        return network.add(self, (flow,), place)

    def output_shape(self, where: str, *shapes: Shape) -> Shape:
        """The shape of the output, without the batch axis. Errors begin with `where`."""
        return shapes[0]

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """What is learned, by name, for an input of `shape`."""
        return {}

    def buffers(self, shape: Shape) -> dict[str, tuple[Shape, float]]:
        """What is remembered but not learned: (shape, first value) by name."""
        return {}

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates for one input of `shape`; only convolutions and dense layers count any."""
        return 0

    def window(self, shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
        """(span, stride) along each spatial axis for the receptive field, None where each value sees one place.

        Where the input is a flattened image, `shape` is that of the image.
        """
        return None

    def order(self, flows: Sequence[Any]) -> tuple[Shape, ...] | None:
        """Which flattened images the output holds, one after another (Flow.flattened); None if none."""
        return flows[0].flattened if self.keeps_order else None

    def apply(self, *inputs: Any, site: Any) -> Any:
        """The output for a batch of inputs; `site` holds parameters, buffers and the mode of this call."""
        raise NotImplementedError(type(self).__name__)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What a layer wants learned: a shape, how it is first drawn, and how many values feed into and out of one unit.

    Where units differ, `fan_in` and `fan_out` have a number for each place of the last axis.
    """

    shape: Shape
    init: Any
    fan_in: int | tuple[int, ...] = 1
    fan_out: int | tuple[int, ...] = 1


@dataclass_transform(frozen_default=True, kw_only_default=False)
def layer(kind: type) -> type:
    """Decorator: a frozen dataclass whose fields are checked when it is made, and which JSON knows by name."""
    made = dataclasses.dataclass(frozen=True, repr=False)(kind)
    made.__init__ = explained(made.__init__)
    KINDS[kind.__name__] = made
    return made


class Layer(Spec):
    """One layer: a frozen dataclass; each field's `check` (fields.py) refuses a bad argument and settles how it is written."""

    __post_init__ = settle

    def __repr__(self) -> str:
        said = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                said.append(repr(value))
            elif value != field.default:
                said.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


def as_spec(value: Any, role: str) -> Spec:
    """`value` if it is a spec; otherwise a TypeError that says what was probably meant."""
    if isinstance(value, Spec):
        return value
    if isinstance(value, type) and issubclass(value, Spec):
        raise TypeError(f"{role} must be a layer, got the class {value.__name__}. Make one: {value.__name__}(…)")
    if isinstance(value, (list, tuple)):
        raise TypeError(f"{role} must be a layer, got a {type(value).__name__} of {len(value)}. Unpack it: Chain(*layers) is one after "
                        f"another, Concat(*layers) side by side")
    raise TypeError(f"{role} must be a layer such as ReLU() or Conv(6, 5), got {described(value)}")


def _parts(spec: Spec) -> tuple[Spec, ...]:
    return spec.parts if isinstance(spec, KINDS["Chain"]) else (spec,)


def _branches(spec: Spec) -> tuple[Spec, ...]:
    return tuple(branch for _, branch in spec.branches) if isinstance(spec, KINDS["Concat"]) and spec.is_positional else (spec,)
