"""What all optimisers share: parameters by path, what is remembered of each, groups that are stepped in one call, state and errors."""
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygradconv.arrays import address_of, is_scattered
from tinygradconv.backends import backend_of
from tinygradconv.backends.live import Live, changed, following
from tinygradconv.geometry import real
from tinygradconv.tensor import Tensor
from tinygradconv.train.checks import number

from .patterns import matching


@dataclass(frozen=True)
class Group:
    """Parameters that one call steps: of one back end and dtype, with the same slots, all of them excluded or none."""

    backend: Any
    paths: tuple[str, ...]
    names: tuple[str, ...]                    # of the slots
    slots: tuple[tuple[Any, ...], ...]        # for each slot one array per parameter
    excluded: bool
    decay: float                              # 0 where they are excluded


class Optimizer:
    """Parameters by path, arrays shaped like them (`slots`) that start at 0, and one step of all of them.

    Parameters that require no gradient (Model.freeze) are left out. Those whose path matches a pattern of `exclude` are not decayed.
    ValueError or TypeError where none is left, one is not a contiguous tensor or stands there twice, or a pattern matches nothing.
    """

    slots: tuple[str, ...] = ()
    reads = ""                                 # what a step reads on the host, for which it waits on a GPU, and cannot be captured

    def __init__(self, parameters: Mapping[str, Tensor], decay: float = 0.0, exclude: str | Iterable[str] = ()) -> None:
        where = type(self).__name__
        if not isinstance(parameters, Mapping):
            raise TypeError(f"{where}: parameters must be a dict of tensors by path, such as model.parameters, "
                            f"got {type(parameters).__name__}")
        for path, p in parameters.items():
            if not isinstance(p, Tensor):
                raise TypeError(f"{where}: {path} must be a Tensor made with requires_grad=True, got {type(p).__name__}")
            if is_scattered(p.data):
                raise ValueError(f"{where}: {path}, of shape {p.shape}, is not contiguous, so it cannot be updated in place")
        self.parameters = {path: p for path, p in parameters.items() if p.requires_grad}
        at: dict[int, str] = {}                    # by address
        for path, p in self.parameters.items():
            if p.size and (other := at.setdefault(address_of(p.data), path)) != path:
                raise ValueError(f"{where}: {other} and {path} are the same values, which would be updated twice. Give them once")
        if parameters and not self.parameters:
            raise TypeError(f"{where}: no parameter requires a gradient, so there is nothing to learn. Make tensors with "
                            f"requires_grad=True; what is frozen in a model learns again after model.unfreeze()")
        self.decay = number(where, "decay", decay, at_least=0)
        self.excluded = matching(where, "exclude", exclude, parameters)
        self.steps = 0
        self._now: Any = None                      # the number of the step under way, as kernels are told it
        self._groups = self._grouped()

    def _slots_of(self, path: str) -> tuple[str, ...]:
        """The names of what is remembered of one parameter."""
        return self.slots

    def _grouped(self) -> list[Group]:
        together: dict[Any, list[str]] = {}
        for path, p in self.parameters.items():
            together.setdefault((backend_of(p.data), p.dtype, self._slots_of(path), path in self.excluded), []).append(path)
        return [Group(be, tuple(paths), names, tuple([tuple([self._zeros(path) for path in paths]) for _ in names]), excluded,
                      0.0 if excluded else self.decay) for (be, _, names, excluded), paths in together.items()]

    def _zeros(self, path: str) -> Any:
        p = self.parameters[path]
        return backend_of(p.data).asarray(np.zeros(p.shape, p.dtype))

    def update(self, gradients: Mapping[str, Tensor] | Iterable[Tensor], rate: float) -> None:
        """One step: every parameter changes in place by its gradient (a dict by path, or in the order of the parameters).

        ValueError: a gradient is missing, or is not shaped like its parameter; then nothing has been changed.
        """
        rate = self._checked(rate)
        if not isinstance(gradients, Mapping):
            gradients = self._by_path(list(gradients))
        slopes = {path: self._gradient(path, p.data, gradients) for path, p in self.parameters.items()}
        self._now = following("the number of an optimiser's step", self._count)
        for group in self._groups:
            values = tuple([self.parameters[path].data for path in group.paths])
            self._step(group, tuple([slopes[path] for path in group.paths]), values, rate)
        self._now = None                           # while a step is recorded, the recording would be kept by it
        for p in self.parameters.values():
            changed(p.storage)

    def _checked(self, rate: Any) -> Any:
        """The rate as a float; a Live one, of a step that is recorded, is checked when it has a value."""
        if type(rate) is Live:
            rate.checks.append(self._checked)
            return rate
        if type(rate) is not float and not isinstance(rate, np.floating):
            rate = real("rate", rate, where=type(self).__name__)
        if not 0 <= rate < math.inf:
            raise ValueError(f"{type(self).__name__}: rate must be at least 0 and finite, got {rate}")
        return float(rate)

    def _count(self) -> int:
        self.steps += 1
        return self.steps

    def _by_path(self, gradients: list[Tensor]) -> dict[str, Tensor]:
        if len(gradients) != len(self.parameters):
            raise ValueError(f"{type(self).__name__}: got {len(gradients)} gradients for {len(self.parameters)} parameters. Frozen ones "
                             f"have none: ask for those of optimizer.parameters.values()")
        return dict(zip(self.parameters, gradients))

    def _gradient(self, path: str, data: Any, gradients: Mapping[str, Tensor]) -> Any:
        """The array of one gradient, contiguous."""
        if gradients.get(path) is None:
            raise ValueError(f"{type(self).__name__}: there is no gradient for {path}")
        if not isinstance(gradients[path], Tensor):
            raise TypeError(f"{type(self).__name__}: the gradient of {path} must be a Tensor, got {type(gradients[path]).__name__}")
        g = gradients[path].data
        if g.shape != data.shape or g.dtype is not data.dtype and g.dtype != data.dtype:
            raise ValueError(f"{type(self).__name__}: the gradient of {path} must be {data.dtype} {data.shape}, got {g.dtype} {g.shape}")
        if type(g) is not type(data):
            raise ValueError(f"{type(self).__name__}: {path} is on {backend_of(data).name} but its gradient is on {backend_of(g).name}")
        return np.ascontiguousarray(g) if is_scattered(g) else g

    def _step(self, group: Group, g: tuple, p: tuple, rate: float) -> None:
        """Change the arrays p of a group by their gradients g; `_now` counts this step already, from 1."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """What is remembered between steps: `<slot>.<path>` in the parameter's shape, and `steps`. Arrays of the CPU are not copied."""
        return {**{name: be.to_numpy(array) for name, be, array in self.remembered()}, "steps": np.array(self.steps, np.int64)}

    def remembered(self) -> Iterator[tuple[str, Any, Any]]:
        """(name in the state, back end, array) of all slots."""
        for group in self._groups:
            for name, slot in zip(group.names, group.slots):
                for path, array in zip(group.paths, slot):
                    yield f"{name}.{path}", group.backend, array

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state()`. ValueError names what is missing, too much, or of another shape; then nothing has been changed."""
        match_arrays(type(self).__name__, self.state(), state)
        for name, be, array in self.remembered():
            be.assign(array, state[name])
        self.steps = int(state["steps"])


def match_arrays(where: str, expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> None:
    """Check that `got` has the names, shapes and dtypes of `expected`; a ValueError names the first difference."""
    for name in sorted({*expected, *got}):
        if name not in got:
            raise ValueError(f"{where}: {name} is missing; it should be {expected[name].dtype} {expected[name].shape}")
        if name not in expected:
            raise ValueError(f"{where}: {name} {got[name].shape} does not belong here; expected are: {', '.join(sorted(expected))}")
        if expected[name].shape != got[name].shape or expected[name].dtype != got[name].dtype:
            raise ValueError(f"{where}: {name} must be {expected[name].dtype} {expected[name].shape}, "
                             f"got {got[name].dtype} {got[name].shape}")
