"""Inference: shapes flow forward through a spec, and the layers come out as a list of steps in the order they run.

Everything else reads that list: the table, the model, and whatever else asks what a network is. A step names its inputs by
their numbers, so a step knows nothing of the combinators that led to it.
"""
from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from tinygradconv.geometry import ReceptiveField

from .base import Parameter, Shape, Spec
from .fields import LARGEST, input_shape, shortened

MOST_VALUES = 2 ** 31 - 1        # in one output or one parameter
MOST_CELLS = 2 ** 62             # that one value sees, or that lie between two; a thousand strides of 2 would multiply past any memory
INPUT = -1                       # the number of the network's input among the steps


@dataclasses.dataclass(frozen=True)
class Flow:
    """What reaches a layer: which step made it, its shape, what one value has seen of the input.

    `flattened`: for a vector that a Flatten made, the shapes that were flattened, one per stretch of the vector.
    """

    step: int
    shape: Shape
    seen: ReceptiveField
    flattened: tuple[Shape, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a spec stands. `path` names its parameters; a keyword that begins with _ is not in it, but tells unnamed layers apart."""

    path: str = ""
    keyword: str = ""
    training_only: bool = False
    share: int = 0                   # which use of a Share this is in; 0: none

    def child(self, name: str) -> Place:
        """The place of a part called `name`."""
        if name.startswith("_"):
            return dataclasses.replace(self, keyword=name)
        return dataclasses.replace(self, path=f"{self.path}.{name}" if self.path else name, keyword="")

    def in_training(self) -> Place:
        """The same place, for what runs only in training."""
        return dataclasses.replace(self, training_only=True)

    def shared(self, key: str) -> Place:
        """The place of what is shared as `key`, wherever it is used."""
        return dataclasses.replace(self, path=key, keyword="")

    @property
    def label(self) -> str:
        """The path, and the keyword that leaves no segment in it."""
        return ".".join(filter(None, (self.path, self.keyword)))


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer, or one joining of branches, at its place in the order of running.

    `inputs` are numbers of earlier steps (INPUT: the network's input); `parameters` and `buffers` map the layer's own names to paths;
    `owned` are the parameters whose first use this is; `flattened` is as in Flow: the rows of the weights are in that order; `stream` names
    its random numbers.
    """

    path: str
    spec: Spec
    inputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    shape: Shape
    seen: ReceptiveField
    parameters: dict[str, str]
    owned: dict[str, Parameter]
    buffers: dict[str, str]
    macs: int
    flattened: tuple[Shape, ...] | None
    training_only: bool
    stream: str

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self.spec).__name__


class Network:
    """The steps of a spec for one input shape.

    `parameters` and `buffers` by path; `heads` are (path, step, weight) of auxiliary heads; `parts` maps a path to the numbers of the steps
    that stand there, one range for each use, and `ends` to the step whose output leaves it; `output` is the step that makes the output.
    """

    def __init__(self, spec: Spec, shape: Shape) -> None:
        self.spec, self.input_shape = spec, shape
        self.steps: list[Step] = []
        self.parameters: dict[str, Parameter] = {}
        self.buffers: dict[str, tuple[Shape, float]] = {}
        self.heads: list[tuple[str, int, float]] = []
        self.ends: dict[str, int] = {}
        self.parts: dict[str, list[range]] = {}
        self._made_in: dict[str, int] = {}           # path of a parameter or a random layer: the use of a Share that it was made in
        self._shared: dict[str, Spec] = {}           # what each key of a Share stands for
        self._uses = 0
        axes = len(shape) - 1
        flow = self.wire(spec, Flow(INPUT, shape, ReceptiveField((1,) * axes, (1,) * axes)), Place())
        self.output, self.output_shape = flow.step, flow.shape

    def wire(self, spec: Spec, flow: Flow, place: Place) -> Flow:
        """Let `spec` add its steps, and remember them, and which one its output comes from."""
        first = len(self.steps)
        made = spec.wire(self, flow, place)
        self.parts.setdefault(place.label, []).append(range(first, len(self.steps)))
        if made is not flow or place.label not in self.ends:            # an Aux lets its input pass: what ends there is its head
            self.ends[place.label] = made.step
        return made

    def one_more_use(self, spec: Spec, place: Place) -> Place:
        """`place`, for one more use of the `spec` that a Share has there."""
        if self._shared.setdefault(place.path, spec) != spec:
            raise ValueError(f"Share {place.path!r} is {shortened(self._shared[place.path])} at its first use and {shortened(spec)} at a "
                             f"later one. Every use of a key shares the same spec; give this one another key")
        self._uses += 1
        return dataclasses.replace(place, share=self._uses)

    def steps_in(self, path: str) -> set[int]:
        """The numbers of the steps that stand at `path`, in all its uses."""
        return {number for numbers in self.parts[path] for number in numbers}

    def add_head(self, path: str, flow: Flow, weight: float) -> None:
        """An auxiliary head ends in `flow`."""
        self.heads.append((path, flow.step, weight))

    def add(self, spec: Spec, flows: Sequence[Flow], place: Place) -> Flow:
        """One more step; returns what flows out of it. ValueError with the path where it does not fit."""
        where = f"{place.path}: {type(spec).__name__}" if place.path else type(spec).__name__
        shapes = tuple(flow.shape for flow in flows)
        shape = self._fits(where, "an output", self._output_shape(spec, where, shapes))
        kernel_size = getattr(spec, "kernel_size", 1)
        if math.prod(kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * (len(shapes[0]) - 1)) > LARGEST:
            raise ValueError(f"{where}: a window has at most {LARGEST:,} cells; kernel_size={kernel_size} makes more of them")
        parameters = spec.parameters(shapes[0]) if len(flows) == 1 else {}
        buffers = spec.buffers(shapes[0]) if len(flows) == 1 else {}
        paths = {name: f"{place.path}.{name}" if place.path else name for name in (*parameters, *buffers)}
        owned = {}
        for name, parameter in parameters.items():
            self._fits(where, f"the parameter {name}", parameter.shape)
            if self._is_new(where, paths[name], parameter, place):
                owned[name] = self.parameters[paths[name]] = parameter
        self.buffers.update({paths[name]: buffer for name, buffer in buffers.items()})
        again = spec.random and not self._is_new(where, place.label, None, place)
        made = Step(path=place.path if parameters or len(flows) > 1 else place.label, spec=spec, inputs=tuple(flow.step for flow in flows),
                    input_shapes=shapes, shape=shape, seen=_seen(where, spec, flows), parameters={name: paths[name] for name in parameters},
                    owned=owned, buffers={name: paths[name] for name in buffers}, macs=spec.macs(shapes[0]),
                    flattened=flows[0].flattened if parameters else None, training_only=place.training_only,
                    stream=f"{place.label} use {place.share}" if again else place.label)
        self.steps.append(made)
        return Flow(len(self.steps) - 1, shape, made.seen, spec.order(flows))

    def _output_shape(self, spec: Spec, where: str, shapes: tuple[Shape, ...]) -> Shape:
        try:
            return spec.output_shape(where, *shapes)
        except ValueError as problem:
            if "does not fit into" in str(problem) and shapes[0] != self.input_shape:      # what came before has made the image so small
                raise ValueError(f"{problem}, or an input larger than {self.input_shape}") from None
            raise

    def _is_new(self, where: str, path: str, parameter: Parameter | None, place: Place) -> bool:
        """Whether `path` is met for the first time; a second time is right only in another use of the same Share."""
        if path not in self._made_in:
            self._made_in[path] = place.share
            return True
        if not place.share or not self._made_in[path] or self._made_in[path] == place.share:
            raise ValueError(f"{where}: two layers have the path {path!r}. A keyword that begins with _ leaves no segment: give one of "
                             f"them a name, or, if they are to have the same parameters, write Share({place.path!r}, …) around both")
        if parameter is not None and parameter != self.parameters[path]:
            raise ValueError(f"{where}: {path!r} is shared, but was {self.parameters[path].shape} at its first use and is "
                             f"{parameter.shape} here. Share needs inputs and layers that agree; give this one another key")
        return False

    @staticmethod
    def _fits(where: str, what: str, shape: Shape) -> Shape:
        if math.prod(shape) > MOST_VALUES:
            raise ValueError(f"{where} would have {what} of shape {shape}: {math.prod(shape):,} values, of at most {MOST_VALUES:,}")
        return shape


def _seen(where: str, spec: Spec, flows: Sequence[Flow]) -> ReceptiveField:
    """What a value of the output has seen: the most of any input, through the window of this layer."""
    seen = flows[0].seen
    for flow in flows[1:]:
        if len(flow.seen.field) == len(seen.field):
            seen = ReceptiveField(tuple(map(max, seen.field, flow.seen.field)), tuple(map(max, seen.jump, flow.seen.jump)))
    window = spec.window(flows[0].shape if flows[0].flattened is None else flows[0].flattened[0])
    if window is None:
        return seen
    if len(window[0]) != len(seen.field):                  # a Reshape made an image of a vector: counted from there
        seen = ReceptiveField((1,) * len(window[0]), (1,) * len(window[0]))
    through = seen.through(*window)
    if max(one for n in (*through.field, *through.jump) for one in (n.numerator, n.denominator)) > MOST_CELLS:
        raise ValueError(f"{where}: the strides up to here multiply to more than 2^62; a smaller stride will do for {flows[0].shape}")
    return ReceptiveField(tuple(map(_whole, through.field)), tuple(map(_whole, through.jump)))


def _whole(number: Any) -> Any:
    return int(number) if isinstance(number, Fraction) and number.denominator == 1 else number


def infer(spec: Spec, shape: Any) -> Network:
    """The network that `spec` describes for one input of `shape`, without the batch axis; ValueError where something does not fit."""
    checked = input_shape("shape", shape)
    try:
        made = Network(spec, checked)
    except ValueError as problem:
        if looks_channels_first(checked):
            raise ValueError(f"{problem}. The input {checked} looks channels-first: write {(*checked[1:], checked[0])}") from None
        raise
    if looks_channels_first(checked) and checked[1] == checked[2] > 16:
        warnings.warn(f"the input {checked} is an image {checked[0]} high and {checked[1]} wide, with {checked[2]} channels. If that is "
                      f"not what you mean, write the channels last: {(*checked[1:], checked[0])}", stacklevel=4)
    return made


def looks_channels_first(shape: Shape) -> bool:
    """Whether one image's `shape` is more likely (channels, height, width): 1 or 3, then two larger lengths."""
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 4
