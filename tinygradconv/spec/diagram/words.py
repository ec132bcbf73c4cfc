"""What is written in a box: layers in the words of He et al. 2016, figure 3 ("3×3 conv, 64, /2": /2 is the stride)."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from ..base import Spec

LONGEST = 44             # characters of a line that is made up here

PLAIN = {"BatchNorm": "batch norm", "LayerNorm": "layer norm", "GlobalAvgPool": "global avg pool", "GlobalMaxPool": "global max pool",
         "Flatten": "flatten", "Identity": "identity", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softmax": "softmax",
         "LogSoftmax": "log softmax", "ScaledTanh": "scaled tanh", "Concat": "concat", "Sum": "+", "Residual": "+", "Softplus": "softplus",
         "LRN": "local response norm", "Scale": "scale"}
POOLS = {"MaxPool": "max", "AvgPool": "avg", "SumPool": "sum", "LpPool": "Lp", "DistancePool": "distance"}


def by(size: Any) -> str:
    """5 as 5×5, (1, 7) as 1×7."""
    return "×".join(map(str, size if isinstance(size, tuple) else (size, size)))


def stride(value: Any) -> str:
    """", /2" for a stride of 2, nothing for 1."""
    return "" if value == 1 else f", /{'×'.join(map(str, value)) if isinstance(value, tuple) else value}"


def _conv(spec: Any, name: str, cells: str) -> str:
    groups = f", {spec.groups} groups" if spec.groups > 1 else ""
    dilation = f", dilation {spec.dilation}" if spec.dilation != 1 else ""
    return f"{cells} {name}, {spec.channels}{stride(spec.stride)}{groups}{dilation}"


def _pool(spec: Any) -> str:
    return f"{by(spec.kernel_size)} {POOLS[type(spec).__name__]} pool{stride(spec.kernel_size if spec.stride is None else spec.stride)}"


SAID: dict[str, Callable[[Any], str]] = {
    "Conv": lambda spec: _conv(spec, "conv", by(spec.kernel_size)),
    "Conv1d": lambda spec: _conv(spec, "conv", str(spec.kernel_size)),
    "ConvTranspose": lambda spec: _conv(spec, "transposed conv", by(spec.kernel_size)),
    "ConvTranspose1d": lambda spec: _conv(spec, "transposed conv", str(spec.kernel_size)),
    "TableConv": lambda spec: _conv(spec, "table conv", by(spec.kernel_size)),
    **dict.fromkeys(POOLS, _pool),
    "AdaptiveAvgPool": lambda spec: f"avg pool to {by(spec.output_size)}",
    "AdaptiveMaxPool": lambda spec: f"max pool to {by(spec.output_size)}",
    "ChannelMaxPool": lambda spec: f"max of {spec.size} channels",
    "Dense": lambda spec: f"dense, {spec.features}",
    "Dropout": lambda spec: f"dropout {spec.rate:g}",
    "GroupNorm": lambda spec: f"group norm, {spec.groups}",
    "Reshape": lambda spec: f"reshape to {'×'.join(map(str, spec.shape))}",
    "Subsample": lambda spec: f"subsample /{spec.stride}",
    "PadChannels": lambda spec: f"pad to {spec.channels} channels",
}


def said(spec: Spec) -> str:
    """A layer in a few words; those that are not known here as the code that makes them, or by name."""
    kind = type(spec).__name__
    if type(spec).__module__.startswith("tinygradconv."):
        if kind in SAID:
            return SAID[kind](spec)
        if kind in PLAIN:
            return PLAIN[kind]
    text = repr(spec).removesuffix("()")
    return text if len(text) <= LONGEST // 2 else kind


def short(spec: Spec, *, channels: bool) -> str:
    """A layer that does work, in a summary: "3×3, 64", "max pool", "dense 10"; nothing for what comes along with it."""
    kind = type(spec).__name__
    if hasattr(spec, "kernel_size") and hasattr(spec, "channels"):
        cells = by(spec.kernel_size) if not kind.endswith("1d") else str(spec.kernel_size)
        return f"{cells}, {spec.channels}" if channels else cells
    if kind.endswith("Pool"):
        return f"{POOLS[kind]} pool" if kind in POOLS else "pool"
    return f"dense {spec.features}" if kind == "Dense" else ""


def run_lengths(words: Iterable[str], dot: str = " · ") -> str:
    """Words one after another, neighbours that are equal once, with their number."""
    counted = [(word, len(list(copies))) for word, copies in itertools.groupby(filter(None, words))]
    return dot.join(word if times == 1 else f"{f'[{word}]' if dot in word else word} ×{times}" for word, times in counted)


def summary(part: Any, *, channels: bool = True) -> str:
    """What a part is made of, along its main path: "[1×1, 64 · 3×3, 64 · 1×1, 256] ×3", "1×1 | 1×1 3×3 | 1×1 5×5 | max pool 1×1"."""
    kind = type(part.spec).__name__
    if not part.parts:
        return short(part.spec, channels=channels)
    if kind == "Residual":
        return summary(part.parts[0], channels=channels)
    if kind in ("Concat", "Sum"):
        return " | ".join(summary(branch, channels=False) or "identity" for branch in part.parts)
    if kind == "Aux":
        return ""
    return run_lengths((summary(inner, channels=channels) for inner in part.parts), " · " if channels else " ")
