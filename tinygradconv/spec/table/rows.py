"""The rows of a network's table and their totals, and how they are written."""
from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

from tinygradconv.geometry import integer

from ..base import Shape
from .sheet import Column, Sheet


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


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a network for one input.

    `str(table)` is aligned text; `to_csv()`, `to_markdown()`, `to_latex()` and `to_json()` are the same for other readers.
    """

    input: Shape
    rows: tuple[Row, ...]

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the rows: parameters, macs, activation_bytes, kept_bytes."""
        return _sums(self.rows)

    def collapsed(self, depth: int) -> Table:
        """The table with one row for each run of layers whose paths agree in the first `depth` names: at 1, ResNet's layer1 is one row.

        Such a row adds up what its layers learn, compute and keep, and has the output, field and stride of the last of them.
        TypeError or ValueError unless `depth` is an integer of at least 1.
        """
        depth = integer("depth", depth, at_least=1, where="collapsed")
        runs = [list(run) for _, run in itertools.groupby(self.rows, lambda row: row.path.split(".")[:depth])]
        return Table(self.input, tuple(_joined(run, depth) if len(run) > 1 else run[0] for run in runs))

    def as_dict(self) -> dict[str, Any]:
        """{"input": [...], "layers": [one dict per row], "totals": {"parameters": …, "macs": …, …}}."""
        return {"input": list(self.input), "layers": [row.as_dict() for row in self.rows], "totals": self.totals}

    def to_json(self, *, indent: int | None = None) -> str:
        """as_dict() as JSON text."""
        return json.dumps(self.as_dict(), indent=indent)

    def sheet(self) -> Sheet:
        """The table as columns of values: the input first, then the layers, then the totals."""
        totals = self.totals
        layers = [(row.path, row.kind, row.layer, row.output, row.parameters, row.macs, row.activation_bytes, row.kept_bytes,
                   row.receptive_field, row.stride) for row in self.rows]
        return Sheet(COLUMNS, (("", "input", None, self.input, *[None] * 6), *layers),
                     totals=(("", "total", None, None, *(totals[name] for name in TOTALS), None, None),))

    def __str__(self) -> str:
        return str(self.sheet())

    def to_csv(self) -> str:
        """The numbers as they are (memory in bytes), as RFC 4180 has it: a header, the input, the layers, the totals."""
        return self.sheet().to_csv()

    def to_markdown(self) -> str:
        """A table as GitHub reads it."""
        return self.sheet().to_markdown()

    def to_latex(self) -> str:
        r"""A tabular for a document with \usepackage{booktabs}."""
        return self.sheet().to_latex()


def _sums(rows: Sequence[Row]) -> dict[str, int]:
    return {name: sum(getattr(row, name) for row in rows) for name in TOTALS}


def _joined(rows: Sequence[Row], depth: int) -> Row:
    """One row for several layers."""
    kind = f"{len(rows)} layers"
    return dataclasses.replace(rows[-1], path=".".join(rows[-1].path.split(".")[:depth]), kind=kind, layer=kind, **_sums(rows))


def times(lengths: tuple[Any, ...]) -> str:
    """(28, 28, 6) as 28×28×6."""
    return "×".join(map(str, lengths))


def count(number: int) -> str:
    """1234567 as 1,234,567; nothing for none."""
    return f"{number:,}" if number else ""


def amount(number: int) -> str:
    """A number of bytes in the smallest unit that leaves less than 1000, with three figures; nothing for none."""
    if number < 1000:
        return f"{number} B" if number else ""
    size, unit = number / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if size < 1000:
            break
        size, unit = size / 1024, larger
    return f"{size:.{max(0, 3 - len(str(int(size))))}f} {unit}"


COLUMNS = (Column("path", "path"), Column("layer", "kind"), Column("", "layer"), Column("output", "output", times),
           Column("parameters", "parameters", count, numeric=True), Column("MACs", "macs", count, numeric=True),
           Column("activation", "activation_bytes", amount, numeric=True), Column("kept", "kept_bytes", amount, numeric=True),
           Column("field", "receptive_field", times, numeric=True), Column("stride", "stride", times, numeric=True))
HEADINGS = tuple(column.heading for column in COLUMNS if column.heading)
