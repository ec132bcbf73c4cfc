"""AlexNet's arithmetic, layer by layer, and what is left of it when layers are removed."""
from __future__ import annotations

import math
from collections import Counter

from tinygradconv import models
from tinygradconv.spec.table import Sheet

from . import cited
from .columns import number, percent, printed, shape, text
from .counting import layers, network, parameters, weights, without

CALLED = {"Conv": "CONV", "MaxPool": "MAX POOL", "LRN": "NORM", "Dense": "FC"}


def alexnet() -> Sheet:
    """The layers that the slides list, from 227×227×3 to FC8: output, weights, parameters, multiply-accumulates."""
    made, seen = network("alexnet_2012"), Counter({"Dense": 5})              # the dense layers go on counting after five convolutions
    rows = [("INPUT", made.input_shape, 0, 0, 0, None, None)]
    for step in made.steps:
        if step.kind in CALLED:
            seen[step.kind] += 1
            called = f"{CALLED[step.kind]}{seen[step.kind]}"
            learned = sum(math.prod(parameter.shape) for parameter in step.owned.values())
            rows.append((called, step.shape, weights(step), learned, step.macs, *cited.ALEXNET.get(called, (None, None))))
    sums = [sum(row[i] for row in rows) for i in (2, 3, 4)]
    return Sheet((text("layer", "layer"), shape("output", "output"), number("weights", "weights"), number("parameters", "parameters"),
                  number("MACs", "macs"), printed("lecture, output", "printed_output"), printed("params", "printed_parameters")),
                 tuple(rows), totals=(("total", None, *sums, None, "60 Million"),), name="alexnet", title="AlexNet (2012), layer by layer",
                 notes=("CONV2, CONV4 and CONV5 are connected only with the maps on their own GPU: two groups, half the weights. The paper "
                        "(section 3.5) normalises before it pools, where the slide lists pooling first; the sizes are the same.",))


def ablations() -> Sheet:
    """AlexNet without layers 3 and 4, 7, 6 and 7, and all four: the layers are taken out of its spec and the rest is counted."""
    spec, size = models.get("alexnet_2012")
    whole, base = parameters(spec.infer(size)), cited.ABLATIONS[0]
    rows = []
    for one in cited.ABLATIONS:
        made = without(spec, one.removed).infer(size)
        left, worse = parameters(made), round(one.top5 - base.top5, 1)
        rows.append((", ".join(map(str, one.removed)) or "none", layers(made), left, whole - left, one.printed_parameters,
                     one.top1, one.top5, worse, one.printed_drop))
    return Sheet((text("removed", "removed"), number("layers", "layers"), number("parameters", "parameters"), number("fewer", "fewer"),
                  printed("lecture", "printed_fewer"), percent("top-1", "top1_percent"), percent("top-5", "top5_percent"),
                  printed("worse by", "worse_top5_points"), printed("lecture", "printed_drop")), tuple(rows),
                 name="ablations", title="AlexNet with layers removed", notes=(
        "Parameters are computed; errors are published: Zeiler and Fergus 2014, table 3, validation images of ILSVRC 2012. Worse by: "
        "points of top-5 error. The lecture's drops are from a talk, and other than the paper's.",
        "Removing 6 and 7 leaves the classes to read 6×6×256 values instead of 4096, which gives back 5,120,000 of what goes."))
