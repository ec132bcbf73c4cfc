"""LeNet-5 in its common form, layer by layer."""
from __future__ import annotations

import math

from tinygradconv import models
from tinygradconv.models.connections import connections
from tinygradconv.spec.table import Sheet

from .columns import number, shape, text
from .counting import macs, network, parameters

CALLED = {"Conv": "conv {}x{}", "AvgPool": "pool 2x2", "Dense": "FC"}


def lenet5() -> Sheet:
    """conv → pool → conv → pool → FC → FC → output: the image shrinks, the channels grow, and 60 thousand values are learned."""
    made = network("lenet5")
    rows = [("input", made.input_shape, 0, 0)]
    for step in made.steps:
        if step.kind in CALLED:
            size = step.owned["weight"].shape[:2] if step.owned else ()
            rows.append((CALLED[step.kind].format(*size), step.shape, sum(math.prod(p.shape) for p in step.owned.values()), step.macs))
    original, wires = network("lenet5_1998"), sum(connections(*models.get("lenet5_1998")).values())
    return Sheet((text("layer", "layer"), shape("output", "output"), number("parameters", "parameters"), number("MACs", "macs")),
                 tuple(rows), totals=(("total", None, parameters(made), macs(made)),), name="lenet5", title="LeNet-5, layer by layer",
                 notes=(f'The slide says "only 60K parameters". The network of 1998 has {parameters(original):,}, on {wires:,} '
                        "connections: each map of its second convolution reads some of the maps before it, and its pools and its output "
                        "differ.",))
