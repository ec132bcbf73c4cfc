"""A model: a spec with weights, for inputs of one shape."""
from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.geometry import integer
from tinygradconv.ops.random import key_of
from tinygradconv.promotion import as_tensors
from tinygradconv.remat import Counter, replaying
from tinygradconv.tensor import Tensor

from .base import Shape, Spec
from .fields import floating_dtype
from .infer import INPUT, Step, infer, looks_channels_first
from .plan import Group, Plan, plan, run_group


class Site:
    """What a layer finds where it stands: `where` (for errors), its `parameters`, the mode, and its random stream."""

    __slots__ = ("_buffers", "_seed", "_step", "is_real", "parameters", "step", "train")

    def __init__(self, step: Step, parameters: Mapping[str, Tensor], buffers: dict[str, Tensor], *, train: bool, seed: int, number: int,
                 is_real: bool) -> None:
        self.parameters = {name: parameters[path] for name, path in step.parameters.items()}
        self.train, self.step, self.is_real = train, number, is_real
        self._buffers, self._seed, self._step = buffers, seed, step

    @property
    def where(self) -> str:
        """The path and the kind of the layer."""
        return f"{self._step.path}: {self._step.kind}" if self._step.path else self._step.kind

    @property
    def key(self) -> int:
        """The key of this layer's random numbers; `step` is the number of the training call."""
        return key_of(self._seed, self._step.stream)

    def buffer(self, name: str) -> Tensor:
        """The buffer that the layer calls `name`."""
        return self._buffers[self._step.buffers[name]]

    def update(self, name: str, rule: Callable[[Tensor], Tensor]) -> None:
        """Replace a buffer by rule(buffer): once per call, not again when a `remat` replays it, and not where arrays are abstract."""
        if self.is_real and not replaying():
            with no_grad():
                self._buffers[self._step.buffers[name]] = rule(self.buffer(name)).detach()


def run(plan: Plan, parameters: Mapping[str, Tensor], buffers: dict[str, Tensor], x: Tensor, *, train: bool, seed: int = 0,
        number: int = 0, wanted: Iterable[int] = (), watch: Callable[[Group, Tensor], None] | None = None) -> dict[int, Tensor]:
    """The outputs of the steps `wanted`, by number. Values go after their last use; `watch(group, output)` sees each as it is made."""
    steps, values = plan.network.steps, {INPUT: x}
    last = max(wanted, default=INPUT)
    is_real = x.device != "abstract"

    def site_of(step: Step) -> Site:
        return Site(step, parameters, buffers, train=train, seed=seed, number=number, is_real=is_real)

    for group in plan.groups:
        if group.last > last:
            break
        try:
            values[group.last] = run_group(group, steps, values, site_of)
        except (TypeError, ValueError) as problem:
            problem.add_note(f"in {site_of(steps[group.head]).where} of the model")
            raise
        if watch is not None:
            watch(group, values[group.last])
        for done in group.drop:
            values.pop(done, None)
    return {index: values[index] for index in wanted}


class Model:
    """model(x, train=False): a network with weights.

    `parameters` (leaf tensors, by path) are learned; `buffers` (constants, by path) remembered, and replaced, never changed in place.
    `spec`, `network`, `input_shape`, `seed` and `dtype` say what was built. `counter` counts training calls; with `seed` and a layer's path
    it determines every random number. Weights are drawn per path, so a layer more or less does not change the others.
    """

    def __init__(self, spec: Spec, shape: Shape, *, seed: int = 0, dtype: Any = "float32", fuse: bool = True) -> None:
        integer("seed", seed, at_least=0, where="build")
        self.dtype = floating_dtype("build", dtype)
        self.spec, self.network = spec, infer(spec, shape)
        self.input_shape, self.output_shape = self.network.input_shape, self.network.output_shape
        self.seed, self.counter, self.fuse = seed, Counter(), fuse
        self._plans: dict[tuple[bool, frozenset[int]], Plan] = {}
        self.parameters: dict[str, Tensor] = {}
        for path, parameter in self.network.parameters.items():
            self.parameters[path] = parameter.init(parameter, key_of(seed, path)).astype(self.dtype).requires_grad_()
        self.buffers: dict[str, Tensor] = {}
        for path, (size, first) in self.network.buffers.items():
            self.buffers[path] = Tensor.of(np.full(size, first, self.dtype))

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.size for parameter in self.parameters.values())

    def __repr__(self) -> str:
        return f"Model({self.parameter_count:,} parameters, {self.input_shape} -> {self.output_shape})"

    def __call__(self, x: Any, train: bool = False) -> Any:
        """The output for a batch x (N, *input_shape), a tensor.

        With `train`, batch norm uses the batch's statistics and moves its running ones, dropout drops, and a network with auxiliary heads
        returns (output, {path of the head: (output of the head, its weight in the loss)}). In evaluation the heads do not run.
        """
        x = self._checked(x)
        heads = self.network.heads if train else []
        number = self.counter.advance() if train else 0
        made = self._run(x, train, number, {self.network.output, *(step for _, step, _ in heads)})
        y = made[self.network.output]
        return (y, {path: (made[step], weight) for path, step, weight in heads}) if heads else y

    def features(self, x: Any, at: str | Iterable[str]) -> Any:
        """What leaves the part of the network at path `at`, in evaluation; a dict by path for several. Nothing beyond it is run."""
        if not isinstance(at, (str, list, tuple)):
            raise TypeError(f"features: at must be a path or a list of paths, got {at!r} of type {type(at).__name__}")
        paths = [at] if isinstance(at, str) else list(at)
        for path in paths:
            if path not in self.network.ends:
                near = difflib.get_close_matches(path, self.network.ends, n=3)
                closest = f". Did you mean {' or '.join(map(repr, near))}?" if near else ""
                raise ValueError(f"features: there is no {path!r} in this model{closest}")
        ends = {path: self.network.ends[path] for path in paths}
        hidden = [path for path, step in ends.items() if step != INPUT and self.network.steps[step].training_only]
        if hidden:
            raise ValueError(f"features: {hidden[0]!r} is an auxiliary head, which runs in training only: call model(x, train=True)")
        made = self._run(self._checked(x), False, 0, set(ends.values()))
        return made[ends[at]] if isinstance(at, str) else {path: made[step] for path, step in ends.items()}

    def _run(self, x: Tensor, train: bool, number: int, wanted: set[int]) -> dict[int, Tensor]:
        key = train, frozenset(wanted)
        if key not in self._plans:
            self._plans[key] = plan(self.network, train=train, wanted=wanted, fuse=self.fuse)
        return run(self._plans[key], self.parameters, self.buffers, x, train=train, seed=self.seed, number=number, wanted=wanted)

    def _checked(self, x: Any) -> Tensor:
        """x as a tensor of the model's dtype and input shape; errors say what to do with one that is not."""
        (x,) = as_tensors("model", ("x",), (x,))
        if x.shape[1:] != self.input_shape or x.ndim == 0:
            raise ValueError(self._misfit(x.shape))
        if x.dtype != self.dtype:
            scale = " / 255" if x.dtype == np.uint8 else ""
            raise TypeError(f"model: x is {x.dtype}, the model computes in {self.dtype}. Use x.astype('{self.dtype}'){scale}")
        return x

    def _misfit(self, got: Shape) -> str:
        want = self.input_shape
        said = f"model: x has shape {got}; the model was built for {want}, so x must be (N, {', '.join(map(str, want))}). "
        if got == want:
            return said + "Add the batch axis: x[None]"
        if len(want) == 3 and got[-3:] == (want[2], *want[:2]):
            return said + "It looks channels-first: use x.permute_dims((0, 2, 3, 1))" + ("" if len(got) == 4 else " on a batch, x[None]")
        if len(want) > 1 and want[-1] == 1 and want[:-1] in (got, got[1:]):
            if len(got) == len(want):
                return said + "Add the axis of channels: x[..., None]"
            return said + "Add the axes of the batch and the channels: x[None, ..., None]"
        if len(got) == len(want) + 1:
            shape = (*got[2:], got[1]) if looks_channels_first(got[1:]) else got[1:]
            return said + f"Build the model with spec.build({shape}), or bring the images to {want}"
        return said + "The batch axis comes first, the channels last"
