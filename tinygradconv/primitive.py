"""A primitive: a forward pass on arrays, one derivative rule per input, and the call that joins the two on the tape."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygradconv.anomaly import check_result
from tinygradconv.arrays import dtype_of, shape_of, share_memory
from tinygradconv.backends import CPU, backend_of
from tinygradconv.promotion import as_tensors, promoted
from tinygradconv.settings import get as setting
from tinygradconv.tape import Node, reads_here, recording
from tinygradconv.tensor import Storage, Tensor, Value, tensor_of

ARRAY = np.ndarray


class Primitive:
    """An op: `forward(be, *inputs, **options)` on arrays of the back end `be`, and derivative rules added by `vjp`.

    Inputs are the forward's positional parameters, options its keyword-only ones. `elementwise`: inputs broadcast and their
    dtypes are promoted, and the engine sums a cotangent back over the broadcast axes (`promote=False` leaves the dtypes alone).
    `byproducts` names arrays that forward returns after y, for rules to ask for. `view`: the output may share memory with the
    first input. An op that is not `differentiable` returns constants. `optional` inputs may be None: forward and rules get None.
    `packs` names an input (weights) that kernels lay out anew before they use it: forward is handed a keyword `packed` that is
    no option, a dict to keep such layouts in until the input changes, or None where the call is recorded, as the next step changes it.
    """

    def __init__(self, forward: Callable[..., Any], *, elementwise: bool = False, promote: bool | None = None, view: bool = False,
                 differentiable: bool = True, byproducts: Sequence[str] = (), optional: Sequence[str] = (), packs: str | None = None,
                 name: str | None = None, inputs: Sequence[str] | None = None) -> None:
        self.forward, self.name = forward, name or forward.__name__
        self.elementwise, self.promote = elementwise, elementwise if promote is None else promote
        self.view, self.differentiable, self.byproducts = view, differentiable, tuple(byproducts)
        parameters = list(inspect.signature(forward).parameters.values()) if inputs is None else []
        self.inputs = tuple(inputs) if inputs is not None else tuple(p.name for p in parameters[1:] if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and (packs is None or p.name != "packed"))
        self.defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}
        self.optional, self.packs = frozenset(self._checked(*optional)), None
        if packs is not None:
            (packs,) = self._checked(packs)
            self.packs = self.inputs.index(packs)
        if self.promote and self.optional:
            raise TypeError(f"{self.name}: a promoted input cannot be optional. Give promote=False")
        self._has_signature = inputs is None
        self.rules: dict[str, Callable[..., Tensor]] = {}
        self.joint: Callable[..., dict[str, Tensor]] | None = None
        self.reruns = False                   # whether the rule is a backward pass of its own (remat), whose ops answer for themselves
        self._needs: dict[str, tuple[str, ...]] = {}
        self._plans: dict[int, tuple[tuple[str, str, int], ...]] = {}
        self.__doc__, self.__name__ = forward.__doc__, self.name

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join((*self.inputs, *(o + '=' for o in self.options)))})>"

    def vjp(self, **rules: Callable[..., Tensor]) -> Primitive:
        """One derivative rule per input: `rule(g, …)` returns the cotangent of that input. TypeError names a wrong parameter."""
        for argument, rule in rules.items():
            self._checked(argument)
            self._needs[argument] = self._checked_needs(f"vjp({argument}=…)", rule)
            self.rules[argument] = rule
        self._plans.clear()
        return self

    def joint_vjp(self, rule: Callable[..., dict[str, Tensor]]) -> Primitive:
        """One rule for all inputs at once: `rule(g, …)` returns a dict from input names to cotangents, where one pass yields several.

        A rule that asks for `wanted` gets the names of the inputs whose cotangents are used, and may leave the others out.
        """
        self._needs = dict.fromkeys(self.inputs, self._checked_needs("joint_vjp(…)", rule))
        self.joint = rule
        self._plans.clear()
        return self

    def _checked(self, *names: str) -> tuple[str, ...]:
        """The names, which must be inputs; TypeError for one that is not."""
        for name in names:
            if name not in self.inputs:
                raise TypeError(f"{self.name} has no input {name!r}; its inputs are: {', '.join(self.inputs)}")
        return names

    def _checked_needs(self, said: str, rule: Callable[..., Any]) -> tuple[str, ...]:
        facts = (name + fact for name in self.inputs for fact in ("_shape", "_dtype"))
        known = {*self.inputs, *self.options, *self.byproducts, "y", "wanted", *facts}
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
        return tensor, *[tensor_of(array) for array in arrays]

    def _call(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...]]:
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name} takes {', '.join(self.inputs)}; got {len(inputs)} inputs")
        tensors = promoted(self.name, inputs) if self.promote else as_tensors(self.name, self.inputs, inputs, self.optional)
        arrays, on_cpu, live, bit = [], True, 0, 1          # live: one bit for each input that has a node
        for tensor in tensors:
            value: Value = tensor
            array = None if tensor is None else value.data
            if array is not None:
                on_cpu = on_cpu and type(array) is ARRAY
                if value.node is not None:
                    live |= bit
            arrays.append(array)
            bit += bit
        if (noted := reads_here()) is not None:
            _note(noted, tensors)
        if on_cpu and arrays:
            backend = CPU
        else:
            backend = _common_backend(self, tensors)
            arrays = backend.adopted(arrays)
        recorded = live != 0 and self.differentiable and recording()
        given = options
        if self.packs is not None:
            if options:
                self._check_options(options)
            w = tensors[self.packs]
            given = {**options, "packed": None if recorded or not on_cpu else w.storage.packed(w.data)}
        try:
            if len(arrays) == 1:            # the commonest cases: a call of so many arguments is quicker than one of any number
                result = self.forward(backend, arrays[0], **given) if given else self.forward(backend, arrays[0])
            elif len(arrays) == 2:
                result = self.forward(backend, arrays[0], arrays[1], **given) if given else self.forward(backend, arrays[0], arrays[1])
            elif len(arrays) == 3 and not given:
                result = self.forward(backend, arrays[0], arrays[1], arrays[2])
            else:
                result = self.forward(backend, *arrays, **given)
        except TypeError:
            self._check_options(options)
            raise
        data, extra = (result[0], result[1:]) if self.byproducts else (result, ())
        if self.view and not on_cpu:
            data = backend.whole(data)
        y: Value = tensor_of(data)
        if self.view and share_memory(data, arrays[0]):
            y._storage = tensors[0].storage
        if recorded:
            plan = self._plans.get(live)
            if plan is None:
                plan = self._plans[live] = self._plan(live)
            y.node = _record(self, tensors, plan, y, extra, options)
        if setting("anomaly"):
            check_result(self.name, [tensor for tensor in tensors if tensor is not None], y)
        return y, extra

    def _check_options(self, options: dict[str, Any]) -> None:
        """TypeError for an option that this op does not have; asked only once a forward pass has refused its arguments."""
        for name in options:
            if self._has_signature and name not in self.options:
                said = "; no op changes a tensor in place: use its result" if name in ("inplace", "out") else ""
                raise TypeError(f"{self.name}() got {name!r}; its parameters are: {', '.join((*self.inputs, *self.options))}{said}")

    def _plan(self, live: int) -> tuple[tuple[str, str, int], ...]:
        """What the rules of the live inputs (one bit each) ask for: (name, where it is found, its place there)."""
        wanted = {need for i, name in enumerate(self.inputs) if live >> i & 1 for need in self._needs.get(name, ())}
        found = {"y": ("y", 0)}
        for i, name in enumerate(self.inputs):
            found |= {name: ("input", i), name + "_shape": ("shape", i), name + "_dtype": ("dtype", i)}
        found |= {name: ("byproduct", i) for i, name in enumerate(self.byproducts)}
        return tuple((name, *found[name]) for name in sorted(wanted - {*self.options, "wanted"}))


def _record(op: Primitive, tensors: Sequence[Tensor], plan: tuple[Any, ...], y: Value, extra: tuple[Any, ...],
            options: dict[str, Any]) -> Node:
    """The node of one call, keeping what is in the plan (what the rules of the live inputs ask for) and nothing more.

    `options` are this call's own dict; shapes and dtypes that rules ask for join them.
    """
    kept: dict[str, Any] = {}
    tensor: Value
    for name, source, i in plan:
        if source == "input" and tensors[i] is not None:
            tensor = tensors[i]
            storage: Storage = tensor.stored()
            kept[name] = tensor, storage.version
        elif source == "y":
            storage = y.stored()
            kept[name] = tensor_of(y.data, None, storage), storage.version
        elif source == "byproduct":
            kept[name] = tensor_of(extra[i]), 0
        elif tensors[i] is None:
            options[name] = None
        else:
            tensor = tensors[i]
            options[name] = shape_of(tensor.data) if source == "shape" else dtype_of(tensor.data)
    parents = []
    for tensor in tensors:
        parents.append(None if tensor is None else tensor.node)
    return Node(op, tuple(parents), kept, options, shape_of(y.data), dtype_of(y.data))


def _note(noted: dict[Storage, int], tensors: Sequence[Tensor]) -> None:
    """Write down what an op reads, and its version, for a remat that will read it again."""
    for tensor in tensors:
        if tensor is not None:
            noted.setdefault(tensor.storage, tensor.storage.version)


def _common_backend(op: Primitive, tensors: Sequence[Tensor]) -> Any:
    """The one back end of all inputs; mixed devices raise. A bare number joins any device, and a constant an abstract run."""
    given = [(name, tensor, backend_of(tensor.data)) for name, tensor in zip(op.inputs, tensors) if tensor is not None]
    if not given:
        raise TypeError(f"{op.name} needs at least one tensor")
    placed = [one for one in given if one[1].ndim or one[1].node is not None or one[2] is not CPU] or given
    first, _, backend = placed[0]
    for name, _, other in placed[1:]:
        if other is not backend and "abstract" not in (backend.name, other.name):
            raise ValueError(f"{op.name}: {first} is on {backend.name} but {name} is on {other.name}. "
                             f"Move one: {name}.to({backend.name!r})")
        backend = other if backend is CPU else backend
    return backend


def primitive(forward: Callable[..., Any] | None = None, **marks: Any) -> Any:
    """Decorator: make `forward(be, *inputs, **options)` an op; see Primitive for the marks."""
    return Primitive(forward, **marks) if forward is not None else lambda f: Primitive(f, **marks)


def elementwise(forward: Callable[..., Any]) -> Primitive:
    """Decorator: an op whose inputs broadcast against one another, value by value."""
    return Primitive(forward, elementwise=True)
