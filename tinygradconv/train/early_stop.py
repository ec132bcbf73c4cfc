"""Early stopping: enough is enough when nothing has become better for a while."""
from __future__ import annotations

import math
from collections.abc import Mapping

from tinygradconv.geometry import integer

from .checks import number


class EarlyStop:
    """Whether to stop: after `patience` judgements in a row that were not better than the best by more than `min_delta`.

    Better is more (an accuracy), or less with `lower` (a loss); NaN is never better. (Prechelt 1998, "Early stopping, but when?".)

        if stop.judge(accuracy):
            break
    """

    def __init__(self, patience: int, *, min_delta: float = 0.0, lower: bool = False) -> None:
        self.patience = integer("patience", patience, at_least=1, where="EarlyStop")
        self.min_delta, self.lower = number("EarlyStop", "min_delta", min_delta, at_least=0), lower
        self.best, self.waited = math.nan, 0

    def judge(self, value: float) -> bool:
        """Take note of one more value; True where it is time to stop."""
        gain = self.best - value if self.lower else value - self.best
        if gain > self.min_delta or (math.isnan(self.best) and not math.isnan(value)):
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict[str, float | None]:
        """What it remembers, for JSON: the best value so far, None before the first, and how many since."""
        return {"best": None if math.isnan(self.best) else self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, float | None]) -> None:
        """Go on from a `state()`. ValueError: it is none."""
        if set(state) != {"best", "waited"}:
            raise ValueError(f"EarlyStop: a state has best and waited, got {', '.join(map(str, state)) or 'nothing'}")
        waited = integer("waited", state["waited"], at_least=0, where="EarlyStop")
        self.best = math.nan if state["best"] is None else float(state["best"])
        self.waited = waited
