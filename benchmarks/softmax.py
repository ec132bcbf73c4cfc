"""Scores to probabilities."""
from __future__ import annotations

import tinygradconv as tgc

from .common import DEVICES, ForwardAndGradient, variable
from .loss import HEADS

OPS = {"softmax": lambda x: tgc.softmax(x), "log_softmax": lambda x: tgc.log_softmax(x)}


class Softmax(ForwardAndGradient):
    """Softmax or its logarithm over the classes of one batch."""

    params = [DEVICES, list(HEADS), list(OPS)]
    param_names = ["device", "head", "op"]

    def prepare(self, device: str, head: str, op: str) -> None:
        """Scores."""
        self.examine(OPS[op], variable(HEADS[head], device))
