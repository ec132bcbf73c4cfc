"""Recompute instead of keep: give up what a stretch of the network kept for backward, and run the stretch again when it is needed.

`remat(f)(x)` computes f(x) and keeps only its inputs. In the backward pass f runs again, recorded this time, and the
gradient flows through that second run. A step of training then needs less memory and one more forward pass
(Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").

The second run must repeat the first. Everything random in tinygradconv is a function of a key and a counter, so it is
enough that each `Counter` gives the second run the numbers it gave the first; and what a run does besides computing
its result (batch norm's running statistics) is done once: such code asks `replaying()`.
"""
from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from tinygradconv.autodiff import Primitive, next_sequence, no_grad, propagate, recording
from tinygradconv.backends.live import following
from tinygradconv.tape import Node, reads
from tinygradconv.tensor import Storage, Tensor


class _Log:
    """What a first run took from counters, in order, and the versions of what it read; a second run takes the same numbers again."""

    def __init__(self, taken: list[int], replay: bool) -> None:
        self.taken, self.replay, self.next = taken, replay, 0
        self.reads: dict[Storage, int] = {}


_log: ContextVar[_Log | None] = ContextVar("remat log", default=None)


def replaying() -> bool:
    """Whether this is the second run of a `remat`: side effects have happened already."""
    log = _log.get()
    return log is not None and log.replay


class Counter:
    """Counts calls, for keys of random numbers: `advance()` gives 0, 1, 2, …; the second run of a `remat` gets the numbers of the first."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def advance(self) -> int:
        """The next number; while a step is recorded (capture.py), one that every replay takes anew."""
        log = _log.get()
        if log is not None and log.replay:
            taken = log.taken[log.next]
            log.next += 1
            return taken
        taken = following("the number of a call", self._next)
        if log is not None:
            log.taken.append(taken)
        return taken

    def _next(self) -> int:
        taken, self.value = self.value, self.value + 1
        return taken


def _run(function: Callable[..., Tensor], inputs: tuple[Any, ...], log: _Log) -> Tensor:
    outer = _log.get()
    log.reads.update((x.storage, x.storage.version) for x in inputs if isinstance(x, Tensor))
    token, watching = _log.set(log), reads.set(None if log.replay else log.reads)
    try:
        y = function(*inputs)
    finally:
        _log.reset(token)
        reads.reset(watching)
    if outer is not None and not log.replay and not outer.replay:
        outer.taken.extend(log.taken)                       # the run around this one will replay these too
        outer.reads = {**log.reads, **outer.reads}
    if not isinstance(y, Tensor):
        raise TypeError(f"remat: the function must return one Tensor, got {type(y).__name__}")
    return y


def remat(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function` with its intermediate values recomputed in the backward pass instead of kept: the same result, the same gradients.

    `function` takes tensors (and anything else) and returns one tensor. Tensors that it closes over, such as a model's parameters,
    get their gradients too, of every order. It must be repeatable: random numbers come from keys and `Counter`s.
    """
    def rematerialised(*inputs: Any) -> Tensor:
        log = _log.get()
        if log is not None and log.replay:                  # inside the second run of an outer remat: it reads the outer log
            inner = _Log(log.taken, True)
            inner.next = log.next
            y = _run(function, inputs, inner)
            log.next = inner.next
            return y
        start, first = next_sequence(), _Log([], False)
        y = _run(function, inputs, first)
        if not recording() or y.node is None or y.node.sequence < start:
            return y
        return Tensor.of(y.data, _node(function, inputs, first, y, start), y.storage)

    rematerialised.__doc__, rematerialised.__name__ = function.__doc__, getattr(function, "__name__", "rematerialised")
    return rematerialised


def _node(function: Callable[..., Tensor], inputs: tuple[Any, ...], first: _Log, y: Tensor, start: int) -> Node:
    """The one node that stands for a whole run: its parents are the nodes that the run grew from, its rule runs the function again."""
    boundary = _boundary(y.node, start)

    def again(g: Tensor) -> dict[str, Tensor | None]:
        for storage, version in first.reads.items():
            if storage.version != version:
                raise RuntimeError(f"remat({getattr(function, '__name__', 'function')}): a tensor that it read was changed in place "
                                   f"after the forward pass. Call backward() before the optimiser's update")
        with no_grad(off=False):
            second = _run(function, inputs, _Log(first.taken, True))
        found = propagate({second.node: g}, stop=frozenset(boundary))
        return {name: found.get(node) for name, node in zip(op.inputs, boundary)}

    op = Primitive(function, name="remat", inputs=[f"input{i}" for i in range(len(boundary))])
    op.joint_vjp(again)
    op.reruns = True
    return Node(op, tuple(boundary), {}, {}, y.shape, y.dtype)


def _boundary(newest: Node, start: int) -> list[Node]:
    """The nodes older than `start` that the run ending in `newest` grew from."""
    seen, stack, boundary = {newest}, [newest], []
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                (boundary if parent.sequence < start else stack).append(parent)
    return boundary
