"""The table of a network: what each layer makes, learns, computes and keeps, without allocating an array.

The network is run once on abstract arrays, which have a shape and no memory, through the same plan, ops and tape as a training step;
so what the table says is kept for the backward pass is what the rules of the ops ask for. Of layers that run as one, the last
keeps the result, where a rule asks for it, and the first everything else.
"""
from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

from tinygradconv.autodiff import no_grad
from tinygradconv.backends import ABSTRACT
from tinygradconv.tape import Node
from tinygradconv.tensor import Tensor

from .base import Shape, Spec
from .build import run
from .fields import floating_dtype
from .infer import Step, infer
from .plan import Group, plan


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer, for one image. Shapes leave the batch axis out.

    `macs` counts the multiply-accumulates of convolutions and dense layers; `activation_bytes` the size of the output, 0 where it is a
    view of the input; `kept_bytes` what the tape keeps for the backward pass because of this layer, parameters excepted; `receptive_field`
    the cells of the input that one value has seen along each axis, and `stride` how many cells apart neighbouring values look.
    """

    path: str
    kind: str
    layer: str
    output: Shape
    parameters: int
    macs: int
    activation_bytes: int
    kept_bytes: int
    receptive_field: tuple[int, ...]
    stride: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON knows it: lists for tuples, and a stride below one (after a transposed convolution) as a float."""
        settled = dataclasses.asdict(self)
        for name in ("output", "receptive_field", "stride"):
            settled[name] = [n if isinstance(n, int) else float(n) for n in settled[name]]
        return settled


TOTALS = ("parameters", "macs", "activation_bytes", "kept_bytes")
HEADINGS = ("path", "layer", "output", "parameters", "MACs", "activation", "kept", "field", "stride")


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a network for one input; `str(table)` is aligned text, `as_dict()` and `to_json()` the same for programs."""

    input: Shape
    rows: tuple[Row, ...]

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the rows: parameters, macs, activation_bytes, kept_bytes."""
        return {name: sum(getattr(row, name) for row in self.rows) for name in TOTALS}

    def as_dict(self) -> dict[str, Any]:
        """{"input": [...], "layers": [one dict per row], "totals": {"parameters": …, "macs": …, …}}."""
        return {"input": list(self.input), "layers": [row.as_dict() for row in self.rows], "totals": self.totals}

    def to_json(self, *, indent: int | None = None) -> str:
        """as_dict() as JSON text."""
        return json.dumps(self.as_dict(), indent=indent)

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text, row by row under HEADINGS: the input first, the totals last."""
        totals = self.totals
        lines = [("", "input", times(self.input), "", "", "", "", "", "")]
        lines += [(row.path, row.kind, times(row.output), _count(row.parameters), _count(row.macs), _bytes(row.activation_bytes),
                   _bytes(row.kept_bytes), times(row.receptive_field), times(row.stride)) for row in self.rows]
        return [*lines, ("", "total", "", f"{totals['parameters']:,}", f"{totals['macs']:,}", _bytes(totals["activation_bytes"]),
                         _bytes(totals["kept_bytes"]), "", "")]

    def __str__(self) -> str:
        lines = [HEADINGS, *self.cells()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
        text = ["  ".join(cell.ljust(width) if i < 3 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
                for line in lines]
        rule = "─" * max(map(len, text))
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])


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


def times(lengths: tuple[Any, ...]) -> str:
    """(28, 28, 6) as 28×28×6."""
    return "×".join(map(str, lengths))


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _bytes(number: int) -> str:
    """A number of bytes in the largest unit that leaves at least 1, with three figures."""
    if not number:
        return ""
    size, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1000:
            break
        size, unit = size / 1024, larger
    return f"{number} B" if unit == "B" else f"{size:.{max(0, 2 - len(str(int(size))) + 1)}f} {unit}"
