"""What the tables count in a network: its layers, its weights, and what is left when layers are taken out."""
from __future__ import annotations

import functools
import math
from collections.abc import Iterator

from tinygradconv import models
from tinygradconv.spec import Chain, Conv, Dense, Network, Scope, Spec, Step

WEIGHTED = ("Conv", "Dense")


@functools.cache                                       # several tables count the same networks; nothing changes one
def network(name: str) -> Network:
    """The network called `name` for the input that it is made for."""
    spec, shape = models.get(name)
    return spec.infer(shape)


def parameters(network: Network) -> int:
    """How many values it learns."""
    return sum(math.prod(parameter.shape) for parameter in network.parameters.values())


def macs(network: Network) -> int:
    """Its multiply-accumulates for one image, in convolutions and dense layers."""
    return sum(step.macs for step in network.steps)


def weights(step: Step) -> int:
    """What a layer learns without its bias, as the slides count."""
    return sum(math.prod(parameter.shape) for name, parameter in step.owned.items() if name == "weight")


def layers(network: Network) -> int:
    """How deep it is, as papers count: the most convolutions and dense layers that a path from the input to the output meets."""
    depth = {-1: 0}
    for number, step in enumerate(network.steps):
        depth[number] = max(depth[source] for source in step.inputs) + (step.kind in WEIGHTED)
    return depth[network.output]


def leaves(spec: Spec) -> Iterator[Spec]:
    """The layers of a spec that is a row of layers, in order."""
    if isinstance(spec, (Chain, Scope)):
        for _, part in spec.children():
            yield from leaves(part)
    else:
        yield spec


def without(spec: Spec, removed: tuple[int, ...]) -> Spec:
    """A spec without the convolutions and dense layers of these numbers, counted from 1, and without what follows each (ReLU, dropout)."""
    kept, number = [], 0
    for layer in leaves(spec):
        number += isinstance(layer, (Conv, Dense))
        if number not in removed:
            kept.append(layer)
    return Chain(*kept)
