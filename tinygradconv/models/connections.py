"""Connections as LeCun et al. 1998 count them: every weight and every bias of every output unit, shared or not."""
from __future__ import annotations

import math

from tinygradconv.spec import RBF, AvgPool, MaxPool, Scale, Spec, Step, SumPool


def connections(spec: Spec, shape: tuple[int, ...]) -> dict[str, int]:
    """How many connections each layer of `spec` has for one input of `shape`, by path; layers without any are left out.

    A convolution or dense layer has one for each multiply-accumulate and one for each output's bias; a pool one for each cell of each
    window; a Scale one bias for each output (its factor is on the pool's connections); an RBF one for each value of each code.
    """
    counts = {step.path: _of(step) for step in spec.infer(shape).steps}
    return {path: count for path, count in counts.items() if count}


def _of(step: Step) -> int:
    outputs, spec = math.prod(step.shape), step.spec
    if isinstance(spec, RBF):
        return outputs * math.prod(step.input_shapes[0])
    if isinstance(spec, (AvgPool, MaxPool, SumPool)):
        rows, columns = spec.kernel_size if isinstance(spec.kernel_size, tuple) else (spec.kernel_size,) * 2
        return outputs * rows * columns
    return step.macs + outputs * (isinstance(spec, Scale) or step.macs > 0 and "bias" in step.parameters)
