"""Reverse-mode differentiation. Read this file first.

An op is a *primitive*: a forward pass on arrays, and one derivative rule per input. Calling it on tensors runs the
forward pass and, where an input asks for a gradient, records a *node*: which op, made from which nodes, keeping which
values. The rules say what is kept: a rule's first parameter is the cotangent g of the op's output y, and every other
parameter asks by name for an input, for `y`, for a by-product, for an option, or for `<input>_shape` or `<input>_dtype`.

    mul.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)       # keeps b for the gradient of a, and a for that of b
    tanh.vjp(x=lambda g, y: g * (1 - y * y))                  # keeps only the result

Backward is a loop over nodes, newest first. Every consumer of a value is newer than the value, so when we reach a node,
all the contributions to its cotangent have been added: there is no recursion, and no separate topological sort.

Rules are written with the public ops on tensors. With `create_graph=True` the backward pass is itself recorded, and so
there are derivatives of every order.
"""
from __future__ import annotations

import contextlib
import heapq
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygradconv.anomaly import check_cotangent, check_result, users_frame
from tinygradconv.backends import backend_of
from tinygradconv.promotion import as_tensors, promoted
from tinygradconv.settings import get as setting
from tinygradconv.settings import settings
from tinygradconv.tensor import Tensor

_sequence = itertools.count()
_recording: ContextVar[bool] = ContextVar("recording", default=True)


def recording() -> bool:
    """Whether ops are recorded here and now."""
    return _recording.get()


@contextlib.contextmanager
def no_grad(off: bool = True) -> Iterator[None]:
    """Within the block nothing is recorded: results are constants and nothing is kept. `no_grad(off=False)` records again."""
    token = _recording.set(not off)
    try:
        yield
    finally:
        _recording.reset(token)


class Node:
    """One recorded call: the op, the nodes of its inputs, the values that its rules will ask for; a leaf has no op.

    `sequence` counts nodes as they are made; `kept` maps a name to (tensor, version at the time); `line` is where the
    call stood in the user's source.
    """

    __slots__ = ("code", "dtype", "grad", "hooks", "instruction", "kept", "op", "options", "parents", "sequence", "shape")

    def __init__(self, op: Primitive | None, parents: tuple[Node | None, ...], kept: dict[str, Any] | None, options: dict[str, Any],
                 shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.op, self.parents, self.kept, self.options = op, parents, kept, options
        self.shape, self.dtype = shape, dtype
        self.hooks: list | None = None
        self.grad: Tensor | None = None
        self.sequence = next(_sequence)
        if op is not None:
            frame = users_frame()
            self.code, self.instruction = frame.f_code, frame.f_lasti

    @property
    def line(self) -> str:
        """file:line of the call that made this node."""
        if self.op is None:
            return "a leaf"
        positions = next(itertools.islice(self.code.co_positions(), self.instruction // 2, None), (None,))
        return f"{self.code.co_filename}:{positions[0]}"

    def value(self, name: str) -> Any:
        """What a rule asked for by `name`; RuntimeError where it has been changed in place since, or was released."""
        if self.kept is None:
            raise RuntimeError(f"{self.op.name} ({self.line}): its kept values were released by an earlier backward(). "
                               f"Call backward(retain_graph=True) the first time, or run the forward pass again")
        if name in self.kept:
            tensor, version = self.kept[name]
            if tensor.storage.version != version:
                raise RuntimeError(f"{self.op.name} ({self.line}): {name!r}, of shape {tensor.shape}, was changed in place after the forward pass "
                                   f"(version {tensor.storage.version}, recorded at {version}). Call backward() before the optimiser's update")
            return Tensor.of(tensor.data, self, tensor.storage) if name == "y" else tensor
        return self.options[name]


def next_sequence() -> int:
    """A number larger than that of every node made so far and smaller than that of every node to come."""
    return next(_sequence)


class Primitive:
    """An op: `forward(be, *inputs, **options)` on arrays of the back end `be`, and derivative rules added by `vjp`.

    Inputs are the forward's positional parameters, options its keyword-only ones. `elementwise`: inputs broadcast and their dtypes are
    promoted, and the engine sums a cotangent back over the broadcast axes (`promote=False` leaves the dtypes alone). `byproducts` names arrays that forward returns
    after y, for rules to ask for. `view`: the output may share memory with the first input. An op that is not `differentiable` returns constants.
    """

    def __init__(self, forward: Callable[..., Any], *, elementwise: bool = False, promote: bool | None = None, view: bool = False,
                 differentiable: bool = True, byproducts: Sequence[str] = (), name: str | None = None, inputs: Sequence[str] | None = None) -> None:
        self.forward, self.name = forward, name or forward.__name__
        self.elementwise, self.promote = elementwise, elementwise if promote is None else promote
        self.view, self.differentiable, self.byproducts = view, differentiable, tuple(byproducts)
        parameters = list(inspect.signature(forward).parameters.values()) if inputs is None else []
        self.inputs = tuple(inputs) if inputs is not None else tuple(p.name for p in parameters[1:] if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.rules: dict[str, Callable[..., Tensor]] = {}
        self.joint: Callable[..., dict[str, Tensor]] | None = None
        self._needs: dict[str, tuple[str, ...]] = {}
        self._plans: dict[tuple[bool, ...], tuple[str, ...]] = {}
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
        known = {*self.inputs, *self.options, *self.byproducts, "y", *(name + "_shape" for name in self.inputs), *(name + "_dtype" for name in self.inputs)}
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
        arrays = [tensor.data for tensor in tensors]
        backend = _common_backend(self, tensors)
        result = self.forward(backend, *arrays, **options)
        data, extra = (result[0], result[1:]) if self.byproducts else (result, ())
        y = Tensor.of(data)
        if self.view and np.may_share_memory(data, arrays[0]):
            y.storage = tensors[0].storage
        if self.differentiable and _recording.get():
            live = tuple([tensor.node is not None for tensor in tensors])
            if True in live:
                y.node = self._record(tensors, live, y, extra, options)
        if setting("anomaly"):
            check_result(self.name, tensors, y)
        return y, extra

    def _record(self, tensors: Sequence[Tensor], live: tuple[bool, ...], y: Tensor, extra: tuple[Any, ...], options: dict[str, Any]) -> Node:
        """The node of one call, keeping what the rules of the live inputs ask for, and nothing more."""
        plan = self._plans.get(live)
        if plan is None:
            wanted = {need for name, alive in zip(self.inputs, live) if alive for need in self._needs.get(name, ())}
            plan = self._plans[live] = tuple(sorted(wanted))
        kept: dict[str, Any] = {}
        facts: dict[str, Any] = {}
        for name in plan:
            if name == "y":
                kept[name] = Tensor.of(y.data, None, y.storage), y.storage.version
            elif name in self.inputs:
                tensor = tensors[self.inputs.index(name)]
                kept[name] = tensor, tensor.storage.version
            elif name in self.byproducts:
                kept[name] = Tensor.of(extra[self.byproducts.index(name)]), 0
            elif name not in self.options:                          # <input>_shape or <input>_dtype
                facts[name] = getattr(tensors[self.inputs.index(name[:-6])], name[-5:])
        return Node(self, tuple([tensor.node for tensor in tensors]), kept, {**options, **facts} if facts else options,
                    y.data.shape, y.data.dtype)


def _common_backend(op: Primitive, tensors: Sequence[Tensor]) -> Any:
    """The one back end of all inputs; mixed devices raise."""
    if not tensors:
        raise TypeError(f"{op.name} needs at least one tensor")
    backend = backend_of(tensors[0].data)
    for name, tensor in zip(op.inputs[1:], tensors[1:]):
        other = backend_of(tensor.data)
        if other is not backend:
            if tensor.ndim == 0 or tensors[0].ndim == 0 or "abstract" in (backend.name, other.name):      # a bare number joins any device
                backend = other if backend.name == "cpu" else backend
                continue
            raise ValueError(f"{op.name}: {op.inputs[0]} is on {backend.name} but {name} is on {other.name}. Move one: {name}.to({backend.name!r})")
    return backend


def primitive(forward: Callable[..., Any] | None = None, **marks: Any) -> Any:
    """Decorator: make `forward(be, *inputs, **options)` an op; see Primitive for the marks."""
    return Primitive(forward, **marks) if forward is not None else lambda f: Primitive(f, **marks)


def elementwise(forward: Callable[..., Any]) -> Primitive:
    """Decorator: an op whose inputs broadcast against one another, value by value."""
    return Primitive(forward, elementwise=True)


def pull_back(node: Node, g: Tensor) -> Iterator[tuple[Node, Tensor]]:
    """The derivative rules of one node: (parent, cotangent) for each input that has a node."""
    op = node.op
    joint = None
    for name, parent in zip(op.inputs, node.parents):
        if parent is None:
            continue
        if op.joint is not None:
            if joint is None:
                joint = _apply(node, op.joint, g, op._needs[name])
            cotangent = joint[name]
        elif name in op.rules:
            cotangent = _apply(node, op.rules[name], g, op._needs[name])
        else:
            raise TypeError(f"{op.name} ({node.line}) has no derivative rule for {name!r}. Give it one with {op.name}.vjp({name}=…), or detach() the input")
        if cotangent is None:
            continue
        if op.elementwise and cotangent.shape != parent.shape:
            cotangent = cotangent.sum_to(parent.shape)
        if cotangent.shape != parent.shape or cotangent.dtype != parent.dtype:
            raise TypeError(f"{op.name}: the rule for {name!r} returned {cotangent.dtype} {cotangent.shape}, but {name} is {parent.dtype} {parent.shape}")
        if setting("anomaly"):
            check_cotangent(op.name, node.line, name, g, cotangent)
        yield parent, cotangent


def _apply(node: Node, rule: Callable[..., Any], g: Tensor, needs: tuple[str, ...]) -> Any:
    try:
        if setting("anomaly"):                       # what the whole rule gave is checked, in the name of this op and line
            with settings(anomaly=False):
                return rule(g, *[node.value(name) for name in needs])
        return rule(g, *[node.value(name) for name in needs])
    except Exception as problem:
        if not getattr(problem, "__notes__", None):
            problem.add_note(f"in the backward pass of {node.op.name}, called at {node.line}")
        raise


def propagate(cotangents: dict[Node, Tensor], *, useful: dict[Node, bool] | None = None, stop: frozenset[Node] = frozenset(),
              release: bool = False, leaf: Callable[[Node, Tensor], None] | None = None) -> dict[Node, Tensor]:
    """Carry cotangents back through the graph, newest node first; returns those of leaves, of targets and of `stop` nodes.

    Only `useful` nodes (see ancestors_between) are visited, where given; nothing passes a `stop` node, whose hooks are left to the
    caller. `leaf(node, g)` is told of each leaf reached; `release` drops what a node kept as soon as it has been used.
    """
    waiting = [(-node.sequence, node) for node in cotangents]
    heapq.heapify(waiting)
    rest: dict[Node, Tensor] = {}
    while waiting:
        _, node = heapq.heappop(waiting)
        g = cotangents.pop(node)
        if node in stop:
            rest[node] = g
            continue
        for hook in tuple(node.hooks or ()):
            replacement = hook(g)
            g = g if replacement is None else replacement
        if node.op is None or (useful is not None and not any(parent in useful for parent in node.parents)):
            rest[node] = g
            if leaf is not None and node.op is None:
                leaf(node, g)
            continue
        if useful is not None and useful[node]:
            rest[node] = g
        for parent, cotangent in pull_back(node, g):
            if useful is not None and parent not in useful:
                continue
            if parent in cotangents:
                cotangents[parent] = cotangents[parent] + cotangent
            else:
                cotangents[parent] = cotangent
                heapq.heappush(waiting, (-parent.sequence, parent))
        if release:
            node.kept = None
    return rest


def ancestors_between(roots: Sequence[Node], targets: Sequence[Node]) -> dict[Node, bool]:
    """The nodes on some way from a root back to a target; True marks the targets themselves."""
    oldest = min((node.sequence for node in targets), default=0)
    seen, stack = set(roots), list(roots)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen and parent.sequence >= oldest:
                seen.add(parent)
                stack.append(parent)
    wanted = set(targets)
    useful: dict[Node, bool] = {}
    for node in sorted(seen, key=lambda n: n.sequence):
        if node in wanted or any(parent in useful for parent in node.parents):
            useful[node] = node in wanted
    return useful


def _seed(where: str, y: Tensor, cotangent: Any) -> Tensor:
    if y.node is None:
        raise ValueError(f"{where}: the result does not depend on any tensor that requires a gradient. "
                         f"Make one with Tensor(…, requires_grad=True), and check for no_grad() and detach()")
    if cotangent is None:
        if y.size != 1:
            raise ValueError(f"{where}: y has shape {y.shape}; the derivative of many values needs a cotangent of that shape. "
                             f"Reduce y to one value, e.g. y.sum(), or give cotangent=")
        return Tensor.of(np.ones(y.shape, y.dtype))
    (seed,) = as_tensors(where, ("cotangent",), (cotangent,))
    if seed.shape != y.shape:
        raise ValueError(f"{where}: cotangent has shape {seed.shape} but y has shape {y.shape}")
    return seed if seed.dtype == y.dtype else seed.astype(y.dtype)


def grad(y: Tensor, xs: Any, cotangent: Any = None, *, create_graph: bool = False) -> Any:
    """∂y/∂x for one tensor x, or a list of them for a sequence: Σ cotangent · ∂y/∂x, shaped like x.

    y needs a `cotangent` of its own shape unless it is a single value. With `create_graph` the answer can be differentiated again.
    A tensor that y does not depend on has gradient zero. Nothing is released and no `.grad` is touched.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> dy = grad(x * x * x, x, create_graph=True)
    >>> dy.item(), grad(dy, x).item()
    (27.0, 18.0)
    """
    single = isinstance(xs, Tensor)
    targets = [xs] if single else list(xs)
    for i, x in enumerate(targets):
        if not isinstance(x, Tensor) or x.node is None:
            raise ValueError(f"grad: x{'' if single else f's[{i}]'} does not require a gradient. Make it with Tensor(…, requires_grad=True)")
    seed = _seed("grad", y, cotangent)
    useful = ancestors_between([y.node], [x.node for x in targets])
    found: dict[Node, Tensor] = {}
    if y.node in useful:
        with no_grad(off=not create_graph):
            found = propagate({y.node: seed}, useful=useful)
    gradients = [found[x.node] if x.node in found else Tensor.of(np.zeros(x.shape, x.dtype)) for x in targets]
    return gradients[0] if single else gradients


def backward(y: Tensor, cotangent: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Add ∂y/∂leaf to `.grad` of every leaf (a tensor made with requires_grad=True) that y depends on.

    y needs a `cotangent` of its own shape unless it is a single value. What the tape kept is released on the way unless `retain_graph`
    (implied by `create_graph`, which records the backward pass too).
    """
    def accumulate(node: Node, g: Tensor) -> None:
        node.grad = g if node.grad is None else node.grad + g

    seed = _seed("backward", y, cotangent)
    with no_grad(off=not create_graph):
        propagate({y.node: seed}, release=not (retain_graph or create_graph), leaf=accumulate)


Tensor._leaf = staticmethod(lambda tensor: Node(None, (), None, {}, tensor.shape, tensor.dtype))
Tensor.backward = backward
