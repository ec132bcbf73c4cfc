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

from collections.abc import Callable, Container, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from tinygradconv.anomaly import check_cotangent
from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.backends import filled
from tinygradconv.backends.live import adds_to, refuse
from tinygradconv.geometry import described
from tinygradconv.primitive import Primitive, elementwise, primitive
from tinygradconv.promotion import as_tensor
from tinygradconv.ready import teller
from tinygradconv.ready import turns as turns_of
from tinygradconv.settings import get as setting
from tinygradconv.settings import settings
from tinygradconv.tape import Node, next_sequence, no_grad, recording
from tinygradconv.tensor import Tensor, Value

__all__ = ["Primitive", "ancestors_between", "backward", "elementwise", "grad", "next_sequence", "no_grad", "primitive",
           "propagate", "recording"]


def pull_back(node: Node, op: Primitive, g: Tensor, cotangents: dict[Any, Any], waiting: list[Any],
              useful: Container[Node] | None, anomaly: bool, turns: Mapping[Node, float] | None) -> None:
    """The derivative rules of one node, whose op it is: what they return is added to the cotangents of its inputs.

    Asked are the inputs that have a node, or a `useful` one where given; the node of an op, met for the first time, joins those
    `waiting`, as does a leaf where there are `turns` (see ready.py). With `anomaly` every cotangent is checked (anomaly.py).
    """
    joint = None
    for i, parent in enumerate(node.parents):
        if parent is None or (useful is not None and parent not in useful):
            continue
        name = op.inputs[i]
        if op.joint is not None:
            if joint is None:
                joint = _apply(node, op, op.joint, g, op._needs[name], useful, anomaly)
                _check_joint(op, joint, _wanted(node, useful))
            cotangent = joint[name]
        elif name in op.rules:
            cotangent = _apply(node, op, op.rules[name], g, op._needs[name], useful, anomaly)
        else:
            raise TypeError(f"{op.name} ({node.line}) has no derivative rule for {name!r}. "
                            f"Give it one with {op.name}.vjp({name}=…), or detach() the input")
        if cotangent is None:
            continue
        cotangent = _checked(op, name, parent, cotangent)
        if anomaly:
            check_cotangent(op.name, node.line, name, g, cotangent)
        known = cotangents.get(parent)
        if known is None:
            cotangents[parent] = cotangent
            if turns is not None:
                heappush(waiting, (turns.get(parent, -parent.sequence), parent))
            elif parent.op is not None:                    # a leaf leads nowhere, and need not wait in order
                heappush(waiting, (-parent.sequence, parent))
        else:
            cotangents[parent] = known + cotangent


def _apply(node: Node, op: Primitive, rule: Callable[..., Any], g: Tensor, needs: tuple[Any, ...], useful: Container[Node] | None,
           anomaly: bool) -> Any:
    """What a rule returns, given the cotangent and what it asks for by name."""
    try:
        asked = [_wanted(node, useful) if need == "wanted" else node.value(need) for need in needs]
        if anomaly and not op.reruns:       # what the whole rule gave is checked, in the name of this op and line
            with settings(anomaly=False):
                return rule(g, *asked)
        if len(asked) == 1:                 # the commonest cases: a call of so many arguments is quicker than one of any number
            return rule(g, asked[0])
        if len(asked) == 2:
            return rule(g, asked[0], asked[1])
        return rule(g) if not asked else rule(g, *asked)
    except Exception as problem:
        if not getattr(problem, "__notes__", None):
            problem.add_note(f"in the backward pass of {op.name}, called at {node.line}")
        raise


def _wanted(node: Node, useful: Container[Node] | None) -> tuple[str, ...]:
    """The names of the inputs whose cotangents are asked for."""
    names = node.op.inputs
    return tuple([names[i] for i, parent in enumerate(node.parents) if parent is not None and (useful is None or parent in useful)])


def _checked(op: Primitive, name: str, parent: Node, cotangent: Any) -> Tensor:
    """The cotangent that a rule returned for an input, summed over its broadcast axes; TypeError unless it is a tensor like the input."""
    if not isinstance(cotangent, Tensor):
        raise TypeError(f"{op.name}: the rule for {name!r} returned {described(cotangent)}; "
                        f"a rule returns a tensor like {name}, {parent.dtype} {parent.shape}")
    value: Value = cotangent
    shape = shape_of(value.data)
    if op.elementwise and shape != parent.shape:
        value = cotangent.sum_to(parent.shape)
        shape = shape_of(value.data)
    data = value.data
    if shape != parent.shape or dtype_of(data) is not parent.dtype and data.dtype != parent.dtype:
        raise TypeError(f"{op.name}: the rule for {name!r} returned {data.dtype} {data.shape}, "
                        f"but {name} is {parent.dtype} {parent.shape}")
    return value


def _check_joint(op: Primitive, joint: Any, wanted: tuple[str, ...]) -> None:
    """TypeError unless a joint rule returned an entry for each input that was wanted."""
    if not isinstance(joint, dict):
        raise TypeError(f"{op.name}: the joint rule returned {described(joint)}; it returns a dict from the names "
                        f"of the inputs that are wanted ({', '.join(wanted)}) to their cotangents")
    for name in wanted:
        if name not in joint:
            raise TypeError(f"{op.name}: the joint rule returned nothing for {name!r}, which is wanted; it returned: "
                            f"{', '.join(joint)}. Return None where the gradient is zero")


def _hooked(node: Node, g: Tensor) -> Tensor:
    """g after the hooks of a node, each of which may give another gradient, of the same shape and dtype."""
    refuse("runs a hook of a tensor (register_hook), which a replay would not run: remove it")
    for hook in tuple(node.hooks):
        given = hook(g)
        if given is None:
            continue
        if not isinstance(given, Tensor) or given.shape != g.shape or given.dtype != g.dtype:
            got = f"{given.dtype} {given.shape}" if isinstance(given, Tensor) else described(given)
            made = node.line if node.op is None else f"the result of {node.op.name} ({node.line})"
            raise TypeError(f"register_hook: the hook of {made} returned {got}; a hook returns None, or a tensor like the gradient, "
                            f"{g.dtype} {g.shape}")
        g = given
    return g


def propagate(cotangents: dict[Node, Tensor], *, useful: dict[Node, bool] | None = None, stop: frozenset[Node] = frozenset(),
              release: bool = False, leaf: Callable[[Node, Tensor], None] | None = None,
              turns: Mapping[Node, float] | None = None) -> dict[Node, Tensor]:
    """Carry cotangents back through the graph, newest node first; returns those of leaves, of targets and of `stop` nodes.

    Only `useful` nodes (see ancestors_between) are visited, where given; nothing passes a `stop` node, whose hooks are left to the
    caller. `leaf(node, g)` is told of each leaf or target reached, of a leaf earlier where `turns` say so (see ready.py); `release` drops
    what a node kept as soon as it has been used.
    """
    waiting = [(-node.sequence, node) for node in cotangents]
    heapify(waiting)
    anomaly = setting("anomaly")
    rest: dict[Node, Tensor] = {}
    node: Node
    while cotangents:
        if waiting:
            node = heappop(waiting)[1]
            g = cotangents.pop(node)
        else:
            node, g = cotangents.popitem()     # at last come the leaves, which did not wait
        if node in stop:
            rest[node] = g
            continue
        if node.hooks:
            g = _hooked(node, g)
        if node.op is None:
            rest[node] = g
            if leaf is not None:
                leaf(node, g)
            continue
        if useful is not None and useful[node]:
            rest[node] = g
            if leaf is not None:
                leaf(node, g)
            if not _any_in(useful, node.parents):
                continue
        pull_back(node, node.op, g, cotangents, waiting, useful, anomaly, turns)
        g = None                               # a cotangent whose rules have run is not kept while the next rules run
        if release:
            node.kept = None
    return rest


def ancestors_between(roots: Sequence[Node], targets: Sequence[Node]) -> dict[Node, bool]:
    """The nodes on some way from a root back to a target; True marks the targets themselves."""
    oldest = min([node.sequence for node in targets], default=0)
    seen, stack = set(roots), list(roots)
    node: Node
    parent: Node
    while stack:
        node = stack.pop()
        for parent in node.parents:
            if parent is not None and parent.sequence >= oldest and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    wanted = set(targets)
    useful: dict[Node, bool] = {}
    for node in sorted(seen, key=_age):
        if node in wanted:
            useful[node] = True
        elif _any_in(useful, node.parents):
            useful[node] = False
    return useful


def _age(node: Node) -> int:
    return node.sequence


def _any_in(useful: Container[Node], nodes: Sequence[Node | None]) -> bool:
    """Whether some of the nodes are useful."""
    for node in nodes:
        if node in useful:
            return True
    return False


def _seed(where: str, y: Tensor, cotangent: Any) -> Tensor:
    if not isinstance(y, Tensor):
        raise TypeError(f"{where}: y must be a tensor, got {described(y)}")
    if y.node is None:
        raise ValueError(f"{where}: the result does not depend on any tensor that requires a gradient. "
                         f"Make one with Tensor(…, requires_grad=True), and check for no_grad() and detach()")
    if cotangent is None:
        if y.size != 1:
            raise ValueError(f"{where}: y has shape {y.shape}; the derivative of many values needs a cotangent of that shape. "
                             f"Reduce y to one value, e.g. y.sum(), or give cotangent=")
        return Tensor.of(filled(y.data, 1) if y.device == "cuda" else np.ones(y.shape, y.dtype))
    seed = as_tensor(where, "cotangent", cotangent)
    if seed.device != y.device and "abstract" not in (seed.device, y.device):
        raise ValueError(f"{where}: y is on {y.device} but cotangent is on {seed.device}. Move one: cotangent.to({y.device!r})")
    if seed.shape != y.shape:
        raise ValueError(f"{where}: cotangent has shape {seed.shape} but y has shape {y.shape}")
    return seed if seed.dtype == y.dtype else seed.astype(y.dtype)


def _zeros(x: Tensor) -> Tensor:
    """The gradient of what y does not depend on."""
    return Tensor.of(filled(x.data, 0) if x.device == "cuda" else np.zeros(x.shape, x.dtype))


def grad(y: Tensor, xs: Any, cotangent: Any = None, *, create_graph: bool = False, retain_graph: bool = True,
         on_ready: Callable[[int, Tensor], None] | None = None) -> Any:
    """∂y/∂x for one tensor x, or a list of them for a sequence: Σ cotangent · ∂y/∂x, shaped like x.

    y needs a `cotangent` of its own shape unless it is a single value. With `create_graph` the answer can be differentiated again.
    A tensor that y does not depend on has gradient zero. No `.grad` is touched, and what the tape kept stays, unless
    `retain_graph=False` lets it go on the way, which takes less memory. `on_ready(i, gradient)` is called once for each of the xs as soon
    as nothing more will be added to its gradient, while the backward pass goes on: so they can be sent elsewhere meanwhile.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> dy = grad(x * x * x, x, create_graph=True)
    >>> dy.item(), grad(dy, x).item()
    (27.0, 18.0)
    """
    single = isinstance(xs, Tensor)
    if not single and not isinstance(xs, (list, tuple)):
        raise TypeError(f"grad: xs must be a tensor or a list of tensors, got {described(xs)}")
    targets = [xs] if single else list(xs)
    for i, x in enumerate(targets):
        if not isinstance(x, Tensor) or x.node is None:
            raise ValueError(f"grad: x{'' if single else f's[{i}]'} does not require a gradient. "
                             f"Make it with Tensor(…, requires_grad=True)")
    seed = _seed("grad", y, cotangent)
    if on_ready is not None:
        refuse("calls a function of yours in the backward pass (on_ready), which a replay would not call: leave it out")
    useful = ancestors_between([y.node], [x.node for x in targets])
    found: dict[Node, Tensor] = {}
    tell, turns = (None, None) if on_ready is None else (teller(targets, on_ready), turns_of(useful))
    if y.node in useful:
        with no_grad(off=not create_graph):
            found = propagate({y.node: seed}, useful=useful, release=not (retain_graph or create_graph), leaf=tell, turns=turns)
    gradients = [found[x.node] if x.node in found else _zeros(x) for x in targets]
    if on_ready is not None:
        for i, x in enumerate(targets):
            if x.node not in found:
                on_ready(i, gradients[i])
    return gradients[0] if single else gradients


def backward(y: Tensor, cotangent: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Add ∂y/∂leaf to `.grad` of every leaf (a tensor made with requires_grad=True) that y depends on.

    y needs a `cotangent` of its own shape unless it is a single value. What the tape kept is released on the way unless `retain_graph`
    (implied by `create_graph`, which records the backward pass too).
    """
    def accumulate(node: Node, g: Tensor) -> None:
        adds_to(node)
        node.grad = g if node.grad is None else node.grad + g

    seed = _seed("backward", y, cotangent)
    with no_grad(off=not create_graph):
        propagate({y.node: seed}, release=not (retain_graph or create_graph), leaf=accumulate)


Tensor.backward = backward
