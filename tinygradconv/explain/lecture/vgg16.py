"""VGG16 as its slide lays it out: the memory and the parameters of every layer, and what they really add up to."""
from __future__ import annotations

import math

from tinygradconv.spec import Step
from tinygradconv.spec.table import Sheet

from . import cited
from .columns import number, printed, text
from .counting import network, parameters, weights

SHOWN = {"Conv": "3x3 conv, {}", "MaxPool": "Pool", "Dense": "FC {}"}


def vgg16() -> Sheet:
    """The slide's rows, computed, beside what it prints: values in memory for one image, and weights."""
    made = network("vgg16")
    size = made.input_shape
    rows = [("Input", _product(size), math.prod(size), cited.VGG16[0][0], None, 0, cited.VGG16[0][1])]
    shown = [step for step in made.steps if step.kind in SHOWN]
    for step, (memory, learned) in zip(shown, cited.VGG16[1:], strict=True):
        rows.append((SHOWN[step.kind].format(step.shape[-1]), _product(step.shape), math.prod(step.shape), memory,
                     _weights(step), weights(step), learned))
    values, learned = sum(row[2] for row in rows), sum(row[5] for row in rows)
    return Sheet((text("layer", "layer"), text("memory", "memory"), number("values", "values"), printed("lecture", "printed_values"),
                  text("params", "params"), number("weights", "weights"), printed("lecture", "printed_weights")), tuple(rows),
                 totals=(("total", None, values, cited.VGG16_TOTALS[0], None, learned, cited.VGG16_TOTALS[1]),
                         ("bytes", "4 · values", 4 * values, cited.VGG16_BYTES, None, 4 * learned, None)),
                 name="vgg16", title="VGG16, layer by layer", notes=(
        f"Memory: each row of the slide is right, their sum is not. They add to {values:,} values, {4 * values / 1e6:.0f} MB an image; "
        f"the slide prints {cited.VGG16_TOTALS[0]} and {cited.VGG16_BYTES}.",
        f"Parameters: the slide counts weights, {learned:,}; with the {parameters(made) - learned:,} biases "
        f"they are {parameters(made):,}."))


def _product(shape: tuple[int, ...]) -> str:
    return "·".join(map(str, shape))


def _weights(step: Step) -> str | None:
    """(3·3·64)·128 for a convolution; for a dense layer the image that it reads is written out."""
    if not step.owned:
        return None
    *_, channels = step.shape
    if step.kind == "Conv":
        return f"({_product(step.owned['weight'].shape[:-1])})·{channels}"
    return f"{_product(step.flattened[0] if step.flattened else step.input_shapes[0])}·{channels}"
