"""A training step of LeNet-5 in NumPy alone, the backward pass written by hand: convolution and its gradients through im2col's columns."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...common import values
from ..training import DECAY, MOMENTUM, RATE, labels_of


def columns_of(x: np.ndarray, size: int) -> np.ndarray:
    """Rows (n, oy, ox) of windows [ky, kx, c] of x (N, H, W, C)."""
    windows = sliding_window_view(x, (size, size), axis=(1, 2))                     # (N, OH, OW, C, ky, kx)
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * x.shape[3])


def image_of(columns: np.ndarray, shape: tuple[int, ...], size: int) -> np.ndarray:
    """The adjoint of columns_of: every value of a window added to where it came from."""
    N, H, W, C = shape
    OH, OW = H - size + 1, W - size + 1
    x, columns = np.zeros(shape, columns.dtype), columns.reshape(N, OH, OW, size, size, C)
    for ky in range(size):
        for kx in range(size):
            x[:, ky:ky + OH, kx:kx + OW] += columns[:, :, :, ky, kx]
    return x


def pooled(x: np.ndarray) -> np.ndarray:
    """The means of 2×2 cells."""
    N, H, W, C = x.shape
    return x.reshape(N, H // 2, 2, W // 2, 2, C).mean((2, 4))


def spread(g: np.ndarray) -> np.ndarray:
    """The adjoint of pooled."""
    return np.repeat(np.repeat(g * np.float32(0.25), 2, axis=1), 2, axis=2)


class Step:
    """Our model's weights and batch."""

    def __init__(self, name: str, model: Any, batch: int) -> None:
        self.p = {path: p.numpy().copy() for path, p in model.parameters.items()}
        self.velocity = {path: np.zeros_like(p) for path, p in self.p.items()}
        self.x = np.pad(values(batch, *model.input_shape), ((0, 0), (2, 2), (2, 2), (0, 0)))
        self.labels = labels_of(model, batch)

    def forward(self) -> tuple[np.ndarray, ...]:
        """What the backward pass needs, in the order it is made, and the logits."""
        p, N = self.p, len(self.x)
        columns1 = columns_of(self.x, 5)
        y1 = np.tanh(columns1 @ p["0.weight"].reshape(-1, 6) + p["0.bias"])
        x2 = pooled(y1.reshape(N, 28, 28, 6))
        columns2 = columns_of(x2, 5)
        y2 = np.tanh(columns2 @ p["3.weight"].reshape(-1, 16) + p["3.bias"])
        flat = pooled(y2.reshape(N, 10, 10, 16)).reshape(N, -1)
        hidden1 = np.tanh(flat @ p["7.weight"] + p["7.bias"])
        hidden2 = np.tanh(hidden1 @ p["9.weight"] + p["9.bias"])
        return columns1, y1, columns2, y2, flat, hidden1, hidden2, hidden2 @ p["11.weight"] + p["11.bias"]

    def gradients(self) -> tuple[np.floating, dict[str, np.ndarray]]:
        """(loss, its gradient by path): each layer's rule, last layer first."""
        p, N, found = self.p, len(self.x), {}
        columns1, y1, columns2, y2, flat, hidden1, hidden2, logits = self.forward()
        shifted = logits - logits.max(1, keepdims=True)
        probabilities = np.exp(shifted)
        total = probabilities.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - shifted[np.arange(N), self.labels]).mean()
        g = probabilities / total
        g[np.arange(N), self.labels] -= 1
        g /= N
        for path, x in (("11", hidden2), ("9", hidden1), ("7", flat)):
            found[f"{path}.weight"], found[f"{path}.bias"] = x.T @ g, g.sum(0)
            g = g @ p[f"{path}.weight"].T
            g = g if path == "7" else g * (1 - x * x)
        g = spread(g.reshape(N, 5, 5, 16)).reshape(-1, 16) * (1 - y2 * y2)
        found["3.weight"], found["3.bias"] = (columns2.T @ g).reshape(p["3.weight"].shape), g.sum(0)
        g = image_of(g @ p["3.weight"].reshape(-1, 16).T, (N, 14, 14, 6), 5)
        g = spread(g).reshape(-1, 6) * (1 - y1 * y1)
        found["0.weight"], found["0.bias"] = (columns1.T @ g).reshape(p["0.weight"].shape), g.sum(0)
        return loss, found

    def __call__(self, rate: float = RATE) -> Any:
        """One step; returns its loss."""
        loss, gradients = self.gradients()
        for path, p in self.p.items():
            velocity = self.velocity[path]
            velocity *= MOMENTUM
            velocity += gradients[path] + DECAY * p
            p -= np.float32(rate) * velocity
        return loss
