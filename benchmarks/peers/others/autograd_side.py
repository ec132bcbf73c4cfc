"""A training step in HIPS/autograd: NumPy, and derivatives of it; convolution as one product of im2col's columns."""
from __future__ import annotations

from typing import Any

import numpy

from ...common import values
from ..training import DECAY, MOMENTUM, RATE, labels_of
from .networks import loss


class Step:
    """Our model's weights and batch."""

    def __init__(self, name: str, model: Any, batch: int) -> None:
        import autograd
        from autograd import numpy as np

        class Ops:
            """What networks.py asks for."""

            tanh, exp, log, sqrt, maximum, sum = np.tanh, np.exp, np.log, np.sqrt, np.maximum, np.sum

            @staticmethod
            def conv(x: Any, w: Any, stride: int, padding: int) -> Any:
                """Columns [(n, oy, ox), (ky, kx, c)] times weights [(ky, kx, c), o]."""
                kh, kw, I, O = w.shape
                x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), "constant")
                OH, OW = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
                columns = np.concatenate([x[:, ky:ky + stride * OH:stride, kx:kx + stride * OW:stride]
                                          for ky in range(kh) for kx in range(kw)], axis=3)
                return np.reshape(np.reshape(columns, (-1, kh * kw * I)) @ np.reshape(w, (-1, O)), (x.shape[0], OH, OW, O))

        self.p = {path: p.numpy().copy() for path, p in model.parameters.items()}
        self.velocity = {path: numpy.zeros_like(p) for path, p in self.p.items()}
        self.x = values(batch, *model.input_shape)
        self.chosen = numpy.eye(model.output_shape[0], dtype=numpy.float32)[labels_of(model, batch)]
        self.gradient = autograd.value_and_grad(lambda p: loss(Ops, name, p, self.x, self.chosen))

    def __call__(self, rate: float = RATE) -> Any:
        """One step; returns its loss."""
        value, gradients = self.gradient(self.p)
        for path, p in self.p.items():
            velocity = self.velocity[path]
            velocity *= MOMENTUM
            velocity += gradients[path] + DECAY * p
            p -= numpy.float32(rate) * velocity
        return value
