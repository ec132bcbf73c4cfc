"""A primitive: a forward pass on arrays, one derivative rule per input, and the call that joins the two on the tape."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygradconv.anomaly import check_result
from tinygradconv.backends import CPU, backend_of
from tinygradconv.promotion import as_tensors, promoted
from tinygradconv.settings import get as setting
from tinygradconv.tape import Node, reads, recording
from tinygradconv.tensor import Tensor


class Primitive:
    """An op: `forward(be, *inputs, **options)` on arrays of the back end `be`, and derivative rules added by `vjp`.

    Inputs are the forward's positional parameters, options its keyword-only ones. `elementwise`: inputs broadcast and their
    dtypes are promoted, and the engine sums a cotangent back over the broadcast axes (`promote=False` leaves the dtypes alone).
    `byproducts` names arrays that forward returns after y, for rules to ask for. `view`: the output may share memory with the
    first input. An op that is not `differentiable` returns constants.
    """

    def __init__(self, forward: Callable[..., Any], *, elementwise: bool = False, promote: bool | None = None, view: bool = False,
                 differentiable: bool = True, byproducts: Sequence[str] = (), name: str | None = None,
                 inputs: Sequence[str] | None = None) -> None:
        self.forward, self.name = forward, name or forward.__name__
        self.elementwise, self.promote = elementwise, elementwise if promote is None else promote
        self.view, self.differentiable, self.byproducts = view, differentiable, tuple(byproducts)
        parameters = list(inspect.signature(forward).parameters.values()) if inputs is None else []
        self.inputs = tuple(inputs) if inputs is not None else tuple(p.name for p in parameters[1:] if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self._has_signature = inputs is None
        self.rules: dict[str, Callable[..., Tensor]] = {}
        self.joint: Callable[..., dict[str, Tensor]] | None = None
        self.reruns = False                   # whether the rule is a backward pass of its own (remat), whose ops answer for themselves
        self._needs: dict[str, tuple[str, ...]] = {}
        self._plans: dict[tuple[bool, ...], tuple[tuple[str, str, int], ...]] = {}
        self.__doc__, self.__name__ = forward.__doc__, self.name

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join((*self.inputs, *(o + '=' for o in self.options)))})>"

    def vjp(self, **rules: Callable[..., Tensor]) -> Primitive:
        """One derivative rule per input: `rule(g, …)` returns the cotangent of that input. TypeError names a wrong parameter."""
        for argument, rule in rules.items():
            if argument not in self.inputs:
                raise TypeError(f"{self.name} has no input {argument!r}; its inputs are: {', '.join(self.inputs)}")
            self._needs[argument] = self._checked_needs(f"vjp({argument}=…)", rule)
            self.rules[argument] = rule
        self._plans.clear()
        return self

    def joint_vjp(self, rule: Callable[..., dict[str, Tensor]]) -> Primitive:
        """One rule for all inputs at once: `rule(g, …)` returns a dict from input names to cotangents, where one pass yields several."""
        self._needs = dict.fromkeys(self.inputs, self._checked_needs("joint_vjp(…)", rule))
        self.joint = rule
        self._plans.clear()
        return self

    def _checked_needs(self, said: str, rule: Callable[..., Any]) -> tuple[str, ...]:
        facts = (name + fact for name in self.inputs for fact in ("_shape", "_dtype"))
        known = {*self.inputs, *self.options, *self.byproducts, "y", *facts}
        wanted = tuple(inspect.signature(rule).parameters)[1:]
        for name in wanted:
            if name not in known:
                raise TypeError(f"{self.name}.{said} asks for {name!r}; it may ask for: {', '.join(sorted(known))}")
        return wanted

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """y, a tensor; the options are keywords."""
        return self._call(inputs, options)[0]

    def with_byproducts(self, *inputs: Any, **options: Any) -> tuple[Tensor, ...]:
        """(y, by-product, …): the by-products are constants."""
        tensor, arrays = self._call(inputs, options)
        return tensor, *(Tensor.of(array) for array in arrays)

    def _call(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...]]:
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name} takes {', '.join(self.inputs)}; got {len(inputs)} inputs")
        tensors = promoted(self.name, inputs) if self.promote else as_tensors(self.name, self.inputs, inputs)
        if (noted := reads.get()) is not None:
            for tensor in tensors:
                noted.setdefault(tensor.storage, tensor.storage.version)
        arrays = [tensor.data for tensor in tensors]
        backend = CPU if all([type(array) is np.ndarray for array in arrays]) else _common_backend(self, tensors)
        try:
            result = self.forward(backend, *arrays, **options)
        except TypeError:
            self._check_options(options)
            raise
        data, extra = (result[0], result[1:]) if self.byproducts else (result, ())
        y = Tensor.of(data)
        if self.view and np.may_share_memory(data, arrays[0]):
            y.storage = tensors[0].storage
        if self.differentiable and recording():
            live = tuple([tensor.node is not None for tensor in tensors])
            if True in live:
                y.node = self._record(tensors, live, y, extra, options)
        if setting("anomaly"):
            check_result(self.name, tensors, y)
        return y, extra

    def _check_options(self, options: dict[str, Any]) -> None:
        """TypeError for an option that this op does not have; asked only once a forward pass has refused its arguments."""
        for name in options:
            if self._has_signature and name not in self.options:
                said = "; no op changes a tensor in place: use its result" if name in ("inplace", "out") else ""
                raise TypeError(f"{self.name}() got {name!r}; its parameters are: {', '.join((*self.inputs, *self.options))}{said}")

    def _record(self, tensors: Sequence[Tensor], live: tuple[bool, ...], y: Tensor, extra: tuple[Any, ...],
                options: dict[str, Any]) -> Node:
        """The node of one call, keeping what the rules of the live inputs ask for, and nothing more."""
        plan = self._plans.get(live)
        if plan is None:
            plan = self._plans[live] = self._plan(live)
        kept: dict[str, Any] = {}
        for name, source, i in plan:
            if source == "input":
                kept[name] = tensors[i], tensors[i].storage.version
            elif source == "y":
                kept[name] = Tensor.of(y.data, None, y.storage), y.storage.version
            elif source == "byproduct":
                kept[name] = Tensor.of(extra[i]), 0
            else:
                options = {**options, name: getattr(tensors[i], source)}
        return Node(self, tuple([tensor.node for tensor in tensors]), kept, options, y.data.shape, y.data.dtype)

    def _plan(self, live: tuple[bool, ...]) -> tuple[tuple[str, str, int], ...]:
        """What the rules of the live inputs ask for: (name, where it is found, its place there)."""
        wanted = {need for name, alive in zip(self.inputs, live) if alive for need in self._needs.get(name, ())}
        found = {"y": ("y", 0)}
        for i, name in enumerate(self.inputs):
            found |= {name: ("input", i), name + "_shape": ("shape", i), name + "_dtype": ("dtype", i)}
        found |= {name: ("byproduct", i) for i, name in enumerate(self.byproducts)}
        return tuple((name, *found[name]) for name in sorted(wanted - {*self.options}))


def _common_backend(op: Primitive, tensors: Sequence[Tensor]) -> Any:
    """The one back end of all inputs; mixed devices raise. A bare number joins any device, and a constant an abstract run."""
    if not tensors:
        raise TypeError(f"{op.name} needs at least one tensor")
    backend = backend_of(tensors[0].data)
    for name, tensor in zip(op.inputs[1:], tensors[1:]):
        other = backend_of(tensor.data)
        if other is backend:
            continue
        if tensor.ndim and tensors[0].ndim and "abstract" not in (backend.name, other.name):
            raise ValueError(f"{op.name}: {op.inputs[0]} is on {backend.name} but {name} is on {other.name}. "
                             f"Move one: {name}.to({backend.name!r})")
        backend = other if backend.name == "cpu" else backend
    return backend


def primitive(forward: Callable[..., Any] | None = None, **marks: Any) -> Any:
    """Decorator: make `forward(be, *inputs, **options)` an op; see Primitive for the marks."""
    return Primitive(forward, **marks) if forward is not None else lambda f: Primitive(f, **marks)


def elementwise(forward: Callable[..., Any]) -> Primitive:
    """Decorator: an op whose inputs broadcast against one another, value by value."""
    return Primitive(forward, elementwise=True)
