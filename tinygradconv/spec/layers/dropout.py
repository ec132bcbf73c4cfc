"""Dropout: values switched off at random while training."""
from __future__ import annotations

from typing import Any

from tinygradconv.ops.dropout import dropout
from tinygradconv.ops.shard import current_shard
from tinygradconv.tensor import Tensor

from ..base import Layer, layer
from ..fields import number


@layer
class Dropout(Layer):
    """In training each value is zero with probability `rate`, and otherwise divided by 1 − rate; in evaluation x itself.

    What is dropped is a function of (seed, path, number of the training call) alone, and of the row's place in the whole batch where
    several ranks share it.
    """

    random = True
    keeps_order = True

    rate: float = number(0.5, at_least=0, below=1)

    def apply(self, *inputs: Tensor, site: Any) -> Tensor:
        if not site.train:
            return inputs[0]
        shard = current_shard()
        return dropout(inputs[0], self.rate, key=site.key, step=site.step, first_row=0 if shard is None else shard.first)
