"""A convolution in which each output map sees only the input maps that a table names: layer C3 of LeNet-5."""
from __future__ import annotations

import math
from dataclasses import KW_ONLY, MISSING
from typing import Any, ClassVar

import numpy as np

from tinygradconv.ops.conv import conv2d
from tinygradconv.ops.gather import take
from tinygradconv.ops.join import pad
from tinygradconv.tensor import Tensor

from ..base import Parameter, Shape, layer
from ..fields import choice, flag, padding_field, pair, whole
from ..initial import Constant, Initialiser, initialiser
from .conv import Convolution


def _table(where: str, name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    """One row of input maps, in rising order, per output map."""
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(rows, (tuple, list)) or not rows or not all(isinstance(row, (tuple, list, range)) and row for row in rows):
        raise ValueError(f"{where}: {name} must list the input maps of each output map, such as ((0, 1), (1, 2)), got {value!r}")
    settled = tuple(tuple(sorted(whole(where, name, one, 0) for one in row)) for row in rows)
    for row in settled:
        if len(set(row)) < len(row):
            raise ValueError(f"{where}: {name} must name an input map at most once per output map, got {row}")
    return settled


@layer
class TableConv(Convolution):
    """Convolution of an image with `kernel_size` filters, output map o reading only the input maps connections[o].

    Parameters: weight (kh, kw, K), a filter for each of the K connections, in the order of the table; bias (maps,). Multiply-accumulates
    count connections only. It runs as a dense convolution whose other weights are zeros: they are gathered from a column of zeros
    behind the K filters, so the gradient that is scattered back to the filters leaves them out.
    Source: LeCun, Bottou, Bengio and Haffner 1998, table I.
    """

    axes: ClassVar[int] = 2
    groups: ClassVar[int] = 1

    connections: Any = choice(MISSING, _table)
    kernel_size: int | tuple[int, int] = pair()
    _: KW_ONLY
    stride: int | tuple[int, int] = pair(1)
    padding: Any = padding_field(0)
    dilation: int | tuple[int, int] = pair(1)
    bias: bool = flag(True)
    init: Initialiser = initialiser()
    bias_init: Initialiser = initialiser(Constant(0.0))

    @property
    def channels(self) -> int:
        """How many maps come out."""
        return len(self.connections)

    def check_groups(self, where: str, shape: Shape) -> None:
        """ValueError unless the input has every map that the table names."""
        last = max(map(max, self.connections))
        if last >= shape[-1]:
            raise ValueError(f"{where}: connections name input map {last}, but the input {shape} has maps 0 to {shape[-1] - 1} only")

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        cells, readers = math.prod(self.cells()), [0] * shape[-1]
        for row in self.connections:
            for one in row:
                readers[one] += 1
        fan_in = tuple(cells * len(row) for row in self.connections)
        per_filter = tuple(fan for fan, row in zip(fan_in, self.connections) for _ in row)
        fan_out = tuple(cells * readers[one] for row in self.connections for one in row)
        weight = Parameter((*self.cells(), len(per_filter)), self.init, per_filter, fan_out)
        return {"weight": weight, **({"bias": Parameter((self.channels,), self.bias_init, fan_in)} if self.bias else {})}

    def macs(self, shape: Shape) -> int:
        return math.prod(self.output_shape("", shape)[:-1]) * math.prod(self.cells()) * sum(map(len, self.connections))

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        filters = site.parameters["weight"]
        where = np.full((inputs[0].shape[-1], self.channels), filters.shape[-1])        # behind the last filter: zeros
        number = 0
        for o, row in enumerate(self.connections):
            where[list(row), o] = range(number, number + len(row))
            number += len(row)
        weight = take(pad(filters, ((0, 0), (0, 0), (0, 1))), where, axis=2)
        return conv2d(inputs[0], weight, site.parameters.get("bias"), **self.options())
