"""What leaves the parts of a network, by path."""
from __future__ import annotations


def shapes(spec, shape, *paths):
    """The shapes at `paths` of `spec` for one input of `shape`."""
    network = spec.infer(shape)
    return [network.steps[network.ends[path]].shape for path in paths]
