"""RMSprop: the gradient over the root of its running mean square."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tinygradconv.autodiff import no_grad
from tinygradconv.ops.elementwise import maximum, sqrt
from tinygradconv.tensor import Tensor
from tinygradconv.train.checks import fraction, number

from .base import Group, Optimizer
from .spelling import our_names

LATE = 2 ** 62             # a number of steps t after which 1 − smoothing^t is 1


class RMSprop(Optimizer):
    """square = s·square + (1 − s)·g²;  p −= rate · g / (√square + epsilon).   s is `smoothing`.

    Tieleman and Hinton 2012 (lecture 6.5 of their course), in PyTorch's form: decay · p is added to g first; `centred` takes the variance
    square − mean² in the place of square, with mean = s·mean + (1 − s)·g (Graves 2013, equations 38 to 45); with `momentum`,
    velocity = momentum · velocity + g / (…) and p −= rate · velocity. ValueError: smoothing or momentum outside [0, 1), epsilon not
    above 0, a negative decay.
    """

    @our_names
    def __init__(self, parameters: Mapping[str, Tensor], *, smoothing: float = 0.99, epsilon: float = 1e-8, momentum: float = 0.0,
                 centred: bool = False, decay: float = 0.0, exclude: str | Iterable[str] = ()) -> None:
        self.smoothing, self.momentum = fraction("RMSprop", "smoothing", smoothing), fraction("RMSprop", "momentum", momentum)
        self.epsilon, self.centred = number("RMSprop", "epsilon", epsilon, above=0), centred
        self.slots = ("square", *(("mean",) if centred else ()), *(("velocity",) if momentum else ()))
        super().__init__(parameters, decay, exclude)

    def _step(self, group: Group, g: tuple, p: tuple, rate: float) -> None:
        if group.names == ("square",):
            # This is Adam's step without a mean of g (beta1 = 0), so late that the mean square no longer feels its start: one call for all.
            first = tuple([self._zeros(path) for path in group.paths])
            group.backend.run("adam", g, first, *group.slots, p, rate, 0.0, self.smoothing, self.epsilon, group.decay, LATE, False)
            return
        with no_grad():
            for i in range(len(p)):
                slots = {name: slot[i] for name, slot in zip(group.names, group.slots)}
                self._step_one(group.backend, slots, g[i], p[i], group.decay, rate)

    def _step_one(self, be: Any, slots: dict, slope: Any, p: Any, decay: float, rate: float) -> None:
        """The formula, for one parameter, where there is more to remember than the mean square."""
        s, g = self.smoothing, Tensor.of(slope)
        if decay:
            g = g + Tensor.of(p) * decay
        square = Tensor.of(slots["square"]) * s + g * g * (1 - s)
        be.run("copy", square.data, slots["square"])
        if self.centred:
            mean = Tensor.of(slots["mean"]) * s + g * (1 - s)
            be.run("copy", mean.data, slots["mean"])
            square = maximum(square - mean * mean, 0.0)        # rounding may leave a variance of a little less than nothing
        step = g / (sqrt(square) + self.epsilon)
        if self.momentum:
            step = Tensor.of(slots["velocity"]) * self.momentum + step
            be.run("copy", step.data, slots["velocity"])
        be.run("binary", p, (step * rate).data, p, "subtract")
