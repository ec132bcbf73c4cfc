"""A model: a spec with weights, for inputs of one shape."""
from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygradconv.backends.live import holding
from tinygradconv.geometry import described, integer
from tinygradconv.ops.device import leaf_on
from tinygradconv.ops.random import key_of
from tinygradconv.promotion import as_tensor
from tinygradconv.remat import Counter
from tinygradconv.tensor import Tensor

from .base import Shape, Spec
from .fields import floating_dtype
from .infer import INPUT, Network, infer, looks_channels_first
from .paths import path_in
from .plan import Plan, only, plan
from .run import run
from .weights import load_torch, save_torch

MiB = 2 ** 20


class Model:
    """model(x, train=False): a network with weights.

    `parameters` (leaf tensors, by path) are learned, unless frozen; `buffers` (constants, by path) remembered, replaced, never changed in
    place. `spec`, `network`, `input_shape`, `seed` and `dtype` say what was built. `counter` counts training calls; with `seed` and a
    layer's path it determines every random number. Weights are drawn per path, so a layer more or less does not change the others.
    """

    def __init__(self, spec: Spec, shape: Shape, *, seed: int = 0, dtype: Any = "float32", fuse: bool = True) -> None:
        integer("seed", seed, at_least=0, where="build")
        if not isinstance(fuse, (bool, np.bool_)):
            raise TypeError(f"build: fuse must be True or False, got {fuse!r}")
        self.dtype = floating_dtype("build", dtype)
        self.spec, self.network = spec, infer(spec, shape)
        self.input_shape, self.output_shape = self.network.input_shape, self.network.output_shape
        self.seed, self.counter, self.fuse = seed, Counter(), fuse
        self._plans: dict[tuple[bool, bool, frozenset[int]], Plan] = {}
        self._frozen: frozenset[int] = frozenset()            # the numbers of the steps that run as in evaluation
        _check_memory(self.network, self.dtype)
        self.parameters = {path: self._drawn(path, seed) for path in self.network.parameters}
        self.buffers = {path: self._first(path) for path in self.network.buffers}

    def _drawn(self, path: str, seed: int) -> Tensor:
        """A new parameter."""
        parameter = self.network.parameters[path]
        return parameter.init(parameter, key_of(seed, path)).astype(self.dtype).requires_grad_()

    def _first(self, path: str) -> Tensor:
        """A new buffer."""
        size, first = self.network.buffers[path]
        return Tensor.of(np.full(size, first, self.dtype))

    @property
    def device(self) -> str:
        """Where the weights are, 'cpu' or 'cuda': inputs must be there too."""
        return next((t.device for t in (*self.parameters.values(), *self.buffers.values())), "cpu")

    def to(self, device: str) -> Model:
        """A model with these weights on another device, itself where they are there already. Make optimisers for what is returned."""
        if device == self.device:
            return self
        made = copy.copy(self)
        made.counter, made._plans = copy.copy(self.counter), {}
        made.parameters = {path: leaf_on(device, parameter) for path, parameter in self.parameters.items()}
        made.buffers = {path: leaf_on(device, buffer) for path, buffer in self.buffers.items()}
        return made

    @property
    def parameter_count(self) -> int:
        """How many numbers the parameters are, frozen ones included."""
        return sum(parameter.size for parameter in self.parameters.values())

    @property
    def learned(self) -> dict[str, Tensor]:
        """The parameters that are not frozen, by path: what to ask gradients of, and what an optimiser changes."""
        return {path: parameter for path, parameter in self.parameters.items() if parameter.requires_grad}

    def __repr__(self) -> str:
        learned = sum(parameter.size for parameter in self.learned.values())
        of_which = "" if learned == self.parameter_count else f", {learned:,} of them learned"
        return f"Model({self.parameter_count:,} parameters{of_which}, {self.input_shape} -> {self.output_shape})"

    def __call__(self, x: Any, train: bool = False) -> Any:
        """The output for a batch x (N, *input_shape), a tensor.

        With `train`, batch norm uses the batch's statistics and moves its running ones, dropout drops, and a network with auxiliary heads
        returns (output, {path of the head: (output of the head, its weight in the loss)}). In evaluation the heads do not run.
        """
        heads = self.network.heads if train else []
        made = self._run(x, train, {self.network.output, *(step for _, step, _ in heads)})
        y = made[self.network.output]
        return (y, {path: (made[step], weight) for path, step, weight in heads}) if heads else y

    def features(self, x: Any, at: str | Iterable[str], train: bool = False) -> Any:
        """What leaves the part of the network at path `at`: a tensor, or for a list of paths a dict by path.

        Only the layers that lead there are run, with `train` as in training (batch statistics, which move the running ones; dropout). The
        tensors are part of the graph, like a model's output. A part that is shared gives what its last use gave.
        """
        if not isinstance(at, (str, list, tuple)):
            raise TypeError(f"features: at must be a path or a list of paths, got {described(at)}")
        ends = {path: self.network.ends[path_in("features", path, self.network.ends, "this model")]
                for path in ([at] if isinstance(at, str) else at)}
        hidden = [path for path, step in ends.items() if not train and self._is_hidden(step)]
        if hidden:
            raise ValueError(f"features: {hidden[0]!r} is in an auxiliary head, which runs in training only: give train=True")
        made = self._run(x, train, set(ends.values()))
        return made[ends[at]] if isinstance(at, str) else {path: made[step] for path, step in ends.items()}

    def activations(self, x: Any, train: bool = False) -> dict[str, Tensor]:
        """What leaves every layer, by path, in the order they run: `features` of all of them, each run by itself, and nothing let go."""
        names: dict[int, str] = {}
        for path, step in self.network.ends.items():            # the innermost path of a step is there first
            if step != INPUT and (train or not self._is_hidden(step)):
                names.setdefault(step, path)
        made = self._run(x, train, set(names))
        return {names[step]: made[step] for step in sorted(names)}

    def _is_hidden(self, step: int) -> bool:
        """Whether a step runs in training only."""
        return step != INPUT and self.network.steps[step].training_only

    def freeze(self, *paths: str) -> None:
        """Learn no more at these paths (of parts or of single parameters); with no path, nowhere.

        A frozen part computes in training what it computes in evaluation: a batch norm uses its running statistics and leaves them, dropout
        passes its input on. Its parameters require no gradient, so nothing is recorded up to where the first learned parameter
        is used. Freeze before making the optimiser, which leaves frozen parameters out.
        """
        steps, parameters = self._at("freeze", paths)
        for path in parameters:
            self.parameters[path].node = None
        self._freeze_steps(self._frozen | steps)

    def unfreeze(self, *paths: str) -> None:
        """Learn again at these paths; with no path, everywhere. The running statistics of batch norms move again."""
        steps, parameters = self._at("unfreeze", paths)
        for path in parameters:
            self.parameters[path].requires_grad_()
        self._freeze_steps(self._frozen - steps)

    def _at(self, where: str, paths: tuple[str, ...]) -> tuple[set[int], set[str]]:
        """(steps, paths of parameters) at `paths`, or all of them."""
        network = self.network
        steps: set[int] = set()
        single: set[str] = set()
        for path in paths or ("",):
            if path_in(where, path, {**network.parts, **network.parameters}, "this model") in network.parts:
                steps |= network.steps_in(path)
            else:
                single.add(path)
        return steps, single.union(*(network.steps[step].parameters.values() for step in steps))

    def _freeze_steps(self, steps: set[int] | frozenset[int]) -> None:
        self._frozen = frozenset(steps)
        self._plans.clear()

    def replace(self, path: str, part: Spec, *, seed: int | None = None) -> Model:
        """A model of spec.replace(path, part): `model.replace("fc", Dense(10))` has a new head for ten classes.

        Every other parameter and buffer is a copy of this model's, frozen or not as it was, so neither model changes the other. The part's
        own are drawn from its paths and `seed` (this model's, if left out), and learned. ValueError with the path of a parameter
        elsewhere whose shape would be another.
        """
        seed = integer("seed", self.seed if seed is None else seed, at_least=0, where="replace")
        made = copy.copy(self)
        made.spec = self.spec.replace(path, part)
        network = made.network = infer(made.spec, self.input_shape)
        _check_memory(network, self.dtype)
        made.output_shape, made.counter, made._plans = network.output_shape, copy.copy(self.counter), {}
        new = network.steps_in(path)
        others = {number: step for number, step in enumerate(network.steps) if number not in new}
        kept = {name for step in others.values() for name in (*step.parameters.values(), *step.buffers.values())}
        device = self.device
        made.parameters = {name: self._copied(name, parameter.shape) if name in kept else leaf_on(device, made._drawn(name, seed))
                           for name, parameter in network.parameters.items()}
        made.buffers = {name: self._copied(name, size) if name in kept else leaf_on(device, made._first(name))
                        for name, (size, _) in network.buffers.items()}
        frozen = {(self.network.steps[number].path, self.network.steps[number].kind) for number in self._frozen}
        made._frozen = frozenset(number for number, step in others.items() if (step.path, step.kind) in frozen)
        return made

    def _copied(self, path: str, shape: Shape) -> Tensor:
        """A copy of a parameter or a buffer, which must have `shape`."""
        old = self.parameters.get(path, self.buffers.get(path))
        if old.shape != shape:
            raise ValueError(f"replace: {path} is {old.shape} and would have to be {shape}: the new part's output is not shaped like the "
                             f"old one's. Give it that shape, or build the new spec: model.spec.replace(…).build({self.input_shape})")
        copied = Tensor(old)
        return copied.requires_grad_() if old.requires_grad else copied

    load_torch, save_torch = load_torch, save_torch            # functions of a model, so methods of the class

    def _run(self, x: Any, train: bool, wanted: set[int]) -> dict[int, Tensor]:
        x = self._checked(x)
        key = train, self.fuse, frozenset(wanted)
        if key not in self._plans:
            whole = plan(self.network, train=train, wanted=wanted, fuse=self.fuse, frozen=self._frozen)
            self._plans[key] = only(whole, wanted)
        holding(lambda used=self._plans[key]: self._plans.get(key) is used)         # until a part is frozen
        number = self.counter.advance() if train else 0
        return run(self._plans[key], self.parameters, self.buffers, x, train=train, seed=self.seed, number=number, wanted=wanted)

    def _checked(self, x: Any) -> Tensor:
        """x as a tensor of the model's dtype and input shape; errors say what to do with one that is not."""
        x = as_tensor("model", "x", x)
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


def _check_memory(network: Network, dtype: np.dtype) -> None:
    """ValueError where the parameters would not fit into this machine, before any of them is drawn."""
    size = dtype.itemsize * sum(math.prod(parameter.shape) for parameter in network.parameters.values())
    try:
        there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):               # not on Windows: there the allocation fails
        return
    if size > there_is > 0:
        largest = max(network.parameters, key=lambda path: math.prod(network.parameters[path].shape))
        raise ValueError(f"build: the parameters would take {size / MiB:,.0f} MiB, and this machine has {there_is / MiB:,.0f}; the largest "
                         f"is {largest} {network.parameters[largest].shape}. spec.table(shape) lists them all and allocates nothing")
