"""Optimisers: how gradients change parameters. One `update` per step, in place: all parameters in one call of `sgd` or `adam`.

Parameters are a dict of tensors by path. What an optimiser remembers between steps is a dict of arrays, `state()`, which a
snapshot keeps and `restore()` takes back.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygradconv.backends import backend_of
from tinygradconv.tensor import Tensor


class Optimizer:
    """What SGD and Adam share: parameters by path, and arrays shaped like them (`slots`) that start at 0.

    Parameters that require no gradient (Model.freeze) are left out. ValueError or TypeError where none is left, or names one that is not a
    contiguous tensor.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        if not isinstance(parameters, Mapping):
            raise TypeError(f"{type(self).__name__}: parameters must be a dict of tensors by path, such as model.parameters, "
                            f"got {type(parameters).__name__}")
        for path, p in parameters.items():
            if not isinstance(p, Tensor):
                raise TypeError(f"{type(self).__name__}: {path} must be a Tensor made with requires_grad=True, got {type(p).__name__}")
            if not p.data.flags.c_contiguous:
                raise ValueError(f"{type(self).__name__}: {path}, of shape {p.shape}, is not contiguous, so it cannot be updated in place")
        self.parameters = {path: p for path, p in parameters.items() if p.requires_grad}
        if parameters and not self.parameters:
            raise TypeError(f"{type(self).__name__}: no parameter requires a gradient, so there is nothing to learn. Make tensors with "
                            f"requires_grad=True; what is frozen in a model learns again after model.unfreeze()")
        self.steps = 0
        self._slots = {slot: {path: np.zeros(p.shape, p.dtype) for path, p in self.parameters.items()} for slot in self.slots}
        together: dict[Any, list[str]] = {}                           # a step takes arrays of one dtype
        for path, p in self.parameters.items():
            together.setdefault((backend_of(p.data), p.dtype), []).append(path)
        self._groups = [(be, paths, [tuple([self._slots[slot][path] for path in paths]) for slot in self.slots])
                        for (be, _), paths in together.items()]

    def update(self, gradients: Mapping[str, Tensor] | Iterable[Tensor], rate: float) -> None:
        """One step: every parameter changes in place by its gradient (a dict by path, or in the order of the parameters).

        ValueError: a gradient is missing, or is not shaped like its parameter; then nothing has been changed.
        """
        if not 0 <= rate < math.inf:
            raise ValueError(f"{type(self).__name__}: rate must be at least 0 and finite, got {rate}")
        if not isinstance(gradients, Mapping):
            gradients = dict(zip(self.parameters, gradients, strict=True))
        slopes = {path: self._gradient(path, p.data, gradients) for path, p in self.parameters.items()}
        self.steps += 1
        for be, paths, slots in self._groups:
            self._step(be, tuple([slopes[path] for path in paths]), *slots, tuple([self.parameters[path].data for path in paths]), rate)
        for p in self.parameters.values():
            p.storage.version += 1

    def _gradient(self, path: str, data: Any, gradients: Mapping[str, Tensor]) -> Any:
        """The array of one gradient, contiguous."""
        if gradients.get(path) is None:
            raise ValueError(f"{type(self).__name__}: there is no gradient for {path}")
        g = gradients[path].data
        if g.shape != data.shape or g.dtype is not data.dtype and g.dtype != data.dtype:
            raise ValueError(f"{type(self).__name__}: the gradient of {path} must be {data.dtype} {data.shape}, got {g.dtype} {g.shape}")
        return g if g.flags.c_contiguous else np.ascontiguousarray(g)

    def _step(self, be: Any, g: tuple, *slots_values_and_rate: Any) -> None:
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """What is remembered between steps: `<slot>.<path>` in the parameter's shape, and `steps`. The arrays are not copied."""
        arrays = {f"{slot}.{path}": array for slot in self.slots for path, array in self._slots[slot].items()}
        return {**arrays, "steps": np.array(self.steps, np.int64)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state()`. ValueError names what is missing, too much, or of another shape; then nothing has been changed."""
        match_arrays(type(self).__name__, self.state(), state)
        for name, array in self.state().items():
            array[...] = state[name]
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


class SGD(Optimizer):
    """d = g + decay · p;  velocity = momentum · velocity + d;  p −= rate · velocity, or rate · (d + momentum · velocity) with `nesterov`.

    PyTorch's convention. ValueError: a momentum outside [0, 1), a negative decay, nesterov without momentum.
    """

    slots = ("velocity",)

    def __init__(self, parameters: Mapping[str, Tensor], *, momentum: float = 0.0, nesterov: bool = False, decay: float = 0.0) -> None:
        if not 0 <= momentum < 1 or not decay >= 0:
            raise ValueError(f"SGD: momentum must be in [0, 1) and decay at least 0, got momentum {momentum}, decay {decay}")
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov=True needs a momentum above 0")
        super().__init__(parameters)
        self.momentum, self.nesterov, self.decay = momentum, nesterov, decay

    def _step(self, be: Any, g: tuple, velocity: tuple, p: tuple, rate: float) -> None:
        be.run("sgd", g, velocity, p, rate, self.momentum, self.decay, self.nesterov)


class Adam(Optimizer):
    """p −= rate · m̂ / (√v̂ + epsilon), with running means m of g and v of g², corrected for their start at 0.

    `decay` is added to the gradient (Kingma and Ba 2015), or with `decoupled` shrinks the parameter by rate · decay instead (AdamW,
    Loshchilov and Hutter 2019). ValueError: a beta outside [0, 1), an epsilon that is not above 0, a negative decay.
    """

    slots = ("first", "second")

    def __init__(self, parameters: Mapping[str, Tensor], *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
                 decay: float = 0.0, decoupled: bool = False) -> None:
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and epsilon > 0 and decay >= 0):
            raise ValueError(f"Adam: beta1 and beta2 must be in [0, 1), epsilon above 0 and decay at least 0, "
                             f"got beta1 {beta1}, beta2 {beta2}, epsilon {epsilon}, decay {decay}")
        super().__init__(parameters)
        self.beta1, self.beta2, self.epsilon, self.decay, self.decoupled = beta1, beta2, epsilon, decay, decoupled

    def _step(self, be: Any, g: tuple, first: tuple, second: tuple, p: tuple, rate: float) -> None:
        be.run("adam", g, first, second, p, rate, self.beta1, self.beta2, self.epsilon, self.decay, self.steps, self.decoupled)
