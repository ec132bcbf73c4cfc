"""A training step in tinygrad on the CPU, under its TinyJit. (tinygrad is no relation of this project.)"""
from __future__ import annotations

from typing import Any

import numpy as np

from ...common import values
from ..training import DECAY, MOMENTUM, RATE, labels_of
from .networks import loss


class Step:
    """Our model's weights and batch, learned by tinygrad's code; it needs clang to make it."""

    def __init__(self, name: str, model: Any, batch: int) -> None:
        from tinygrad import Tensor, TinyJit

        class Ops:
            """What networks.py asks for; tinygrad's convolution takes channels first, and its permutations cost nothing."""

            tanh, exp, log, sqrt, maximum, sum = Tensor.tanh, Tensor.exp, Tensor.log, Tensor.sqrt, Tensor.maximum, Tensor.sum

            @staticmethod
            def conv(x: Any, w: Any, stride: int, padding: int) -> Any:
                return x.permute(0, 3, 1, 2).conv2d(w.permute(3, 2, 0, 1), stride=stride, padding=padding).permute(0, 2, 3, 1)

            @staticmethod
            def pad_channels(x: Any, before: int, after: int) -> Any:
                return x.pad((None, None, None, (before, after)))

        self.p = {path: Tensor(p.numpy().copy(), device="CPU").contiguous().realize() for path, p in model.parameters.items()}
        self.velocity = {path: Tensor.zeros(*p.shape, device="CPU").contiguous().realize() for path, p in self.p.items()}
        x = Tensor(values(batch, *model.input_shape), device="CPU").realize()
        chosen = Tensor(np.eye(model.output_shape[0], dtype=np.float32)[labels_of(model, batch)], device="CPU").realize()

        @TinyJit
        def learn(rate: Any) -> Any:
            value = loss(Ops, name, self.p, x, chosen)
            gradients = value.gradient(*self.p.values())
            for (path, p), g in zip(self.p.items(), gradients):
                self.velocity[path].assign(MOMENTUM * self.velocity[path] + g + DECAY * p)
                p.assign(p - rate * self.velocity[path])
            Tensor.realize(value, *self.velocity.values(), *self.p.values())
            return value

        self.learn = lambda rate: learn(Tensor([rate], device="CPU").realize())

    def __call__(self, rate: float = RATE) -> Any:
        """One step, waited for; returns its loss."""
        return np.float64(self.learn(rate).item())
