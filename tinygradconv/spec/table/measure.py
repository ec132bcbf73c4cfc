"""What each layer makes, learns, computes and keeps, worked out without allocating an array.

The network is run once on abstract arrays, which have a shape and no memory, through the same plan, ops and tape as a training step;
so what the table says is kept for the backward pass is what the rules of the ops ask for. Of layers that run as one, the last
keeps the result, where a rule asks for it, and the first everything else.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinygradconv.autodiff import no_grad
from tinygradconv.backends import ABSTRACT
from tinygradconv.tape import Node
from tinygradconv.tensor import Tensor

from ..base import Shape, Spec
from ..build import run
from ..fields import floating_dtype
from ..infer import Step, infer
from ..plan import Group, plan
from .rows import Row, Table


def tabulate(spec: Spec, shape: Any, dtype: Any = "float32") -> Table:
    """The table of `spec` for one input of `shape`, in training, every parameter learned and the input plain data."""
    dtype, network = floating_dtype("table", dtype), infer(spec, shape)
    parameters = {path: _abstract(parameter.shape, dtype).requires_grad_() for path, parameter in network.parameters.items()}
    buffers = {path: _abstract(size, dtype) for path, (size, _) in network.buffers.items()}
    x = _abstract((1, *network.input_shape), dtype)
    ledger = Ledger(parameters.values())
    rows: dict[int, Row] = {}                          # by the step's number: a plan may run steps in another order
    storages = {id(x.storage)}

    def watch(group: Group, y: Tensor) -> None:
        is_view = id(y.storage) in storages
        storages.add(id(y.storage))
        ledger.holding.append(y)                       # so that no id is used twice
        kept = dict.fromkeys(group.steps, 0)
        kept[group.head] = ledger.add(y)
        if group.last != group.head and y.node is not None and "y" in (y.node.kept or ()):
            kept[group.head], kept[group.last] = kept[group.head] - y.nbytes, y.nbytes
        for number in group.steps:
            step = network.steps[number]
            size = 0 if is_view else math.prod(step.shape) * dtype.itemsize
            rows[number] = _row(step, size, kept[number])

    heads = [step for _, step, _ in network.heads]
    with no_grad(off=False):
        run(plan(network, train=True, wanted=heads), parameters, buffers, x, train=True, wanted={network.output, *heads}, watch=watch)
    return Table(network.input_shape, tuple(rows[number] for number in sorted(rows)))


def _row(step: Step, activation_bytes: int, kept_bytes: int) -> Row:
    return Row(path=step.path, kind=step.kind, layer=repr(step.spec) if len(step.inputs) == 1 else step.kind, output=step.shape,
               parameters=sum(math.prod(parameter.shape) for parameter in step.owned.values()), macs=step.macs,
               activation_bytes=activation_bytes, kept_bytes=kept_bytes, receptive_field=step.seen.field, stride=step.seen.jump)


class Ledger:
    """Adds up what a growing tape keeps: each piece of memory once, for the layer that first asked for it."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.holding: list[Any] = list(parameters)
        self._counted = {id(parameter.storage) for parameter in self.holding}
        self._seen: set[int] = set()

    def add(self, y: Tensor) -> int:
        """The bytes kept by the nodes that led to y and were not there before."""
        total, waiting = 0, [y.node]
        while waiting:
            node = waiting.pop()
            if node is None or id(node) in self._seen:
                continue
            self._seen.add(id(node))
            self.holding.append(node)
            total += self._kept_by(node)
            waiting.extend(node.parents)
        return total

    def _kept_by(self, node: Node) -> int:
        total = 0
        for tensor, _ in (node.kept or {}).values():
            if id(tensor.storage) not in self._counted:
                self._counted.add(id(tensor.storage))
                total += tensor.nbytes
        return total


def _abstract(shape: Shape, dtype: Any) -> Tensor:
    return Tensor.of(ABSTRACT.empty(shape, dtype))
