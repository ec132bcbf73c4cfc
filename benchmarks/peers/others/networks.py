"""LeNet-5 and the CIFAR ResNet-20 as functions of (ops, parameters by path, images), for any library that looks like NumPy.

`ops` has conv(x, w, stride, padding) on (N, H, W, C) and (kh, kw, I, O), pad_channels(x, before, after), and tanh, exp, log, sqrt,
maximum and sum by NumPy's names; arrays have @, reshape and basic indexing. So the parameters are ours as they are.
"""
from __future__ import annotations

from typing import Any

EPSILON = 1e-5


def average_pool(ops: Any, x: Any) -> Any:
    """The means of 2×2 cells side by side."""
    N, H, W, C = x.shape
    return ops.sum(x.reshape(N, H // 2, 2, W // 2, 2, C), (2, 4)) * 0.25


def lenet5(ops: Any, p: dict[str, Any], x: Any) -> Any:
    """The logits of LeNet-5."""
    x = average_pool(ops, ops.tanh(ops.conv(x, p["0.weight"], 1, 2) + p["0.bias"]))
    x = average_pool(ops, ops.tanh(ops.conv(x, p["3.weight"], 1, 0) + p["3.bias"]))
    x = x.reshape(x.shape[0], -1)
    x = ops.tanh(x @ p["7.weight"] + p["7.bias"])
    x = ops.tanh(x @ p["9.weight"] + p["9.bias"])
    return x @ p["11.weight"] + p["11.bias"]


def batch_norm(ops: Any, x: Any, scale: Any, shift: Any) -> Any:
    """(x − mean) / √(variance + epsilon) · scale + shift, per channel."""
    count = x.shape[0] * x.shape[1] * x.shape[2]
    centred = x - ops.sum(x, (0, 1, 2)) * (1 / count)
    variance = ops.sum(centred * centred, (0, 1, 2)) * (1 / count)
    return centred * (scale / ops.sqrt(variance + EPSILON)) + shift


def resnet20(ops: Any, p: dict[str, Any], x: Any) -> Any:
    """The logits of ResNet-20, shortcuts of option A."""
    def conv_norm(x: Any, path: str, number: int, stride: int) -> Any:
        y = ops.conv(x, p[f"{path}conv{number}.weight"], stride, 1)
        return batch_norm(ops, y, p[f"{path}bn{number}.weight"], p[f"{path}bn{number}.bias"])

    x = ops.maximum(conv_norm(x, "", 1, 1), 0.0)
    for stage in (1, 2, 3):
        for block in range(3):
            path, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = conv_norm(ops.maximum(conv_norm(x, path, 1, stride), 0.0), path, 2, 1)
            if stride == 2:
                more = x.shape[3] // 2
                x = ops.pad_channels(x[:, ::2, ::2, :], more, more)
            x = ops.maximum(x + y, 0.0)
    mean = ops.sum(x, (1, 2)) * (1 / (x.shape[1] * x.shape[2]))
    return mean @ p["fc.weight"] + p["fc.bias"]


NETWORKS = {"lenet5": lenet5, "resnet20": resnet20}


def loss(ops: Any, name: str, p: dict[str, Any], x: Any, chosen: Any) -> Any:
    """The mean cross-entropy; `chosen` is 1 at each image's class and 0 elsewhere."""
    logits = NETWORKS[name](ops, p, x)
    return ops.sum(ops.log(ops.sum(ops.exp(logits), 1)) - ops.sum(logits * chosen, 1)) * (1 / x.shape[0])
