"""Small problems for every op, as data: what is computed of which arrays. They are run on the GPU, and on the CPU in float64.

    f            a function of tensors: first those of `floats`, whose gradients are taken, then those of `constants`
    floats       arrays with which it is smooth, exact in float32
    constants    integers, booleans
    order        of the derivatives that are compared: 2, or 0 where there are none
    rounds       whether it computes with `precision` (matrix products, convolutions)
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygradconv as tgc
from tinygradconv.ops import activation, adaptive, pool
from tinygradconv.ops.elementwise import nothing


@dataclass(frozen=True)
class Case:
    """See above."""

    f: Callable[..., Any]
    floats: tuple[np.ndarray, ...]
    constants: tuple[np.ndarray, ...] = ()
    order: int = 2
    rounds: bool = False


CASES: dict[str, Case] = {}


def put(name: str, f: Callable[..., Any], *floats: np.ndarray, constants: tuple[np.ndarray, ...] = (), order: int = 2,
        rounds: bool = False) -> None:
    """Add a case."""
    assert name not in CASES, name
    CASES[name] = Case(f, floats, constants, order, rounds)


def signed(*shape: int, seed: int = 0, most: float = 1.8) -> np.ndarray:
    """Numbers from 0.15 to `most` away from 0, none of them near a multiple of a half, so that rounding them is no matter of luck."""
    rng = np.random.default_rng([seed, *shape])
    size = rng.uniform(0.15, most, shape)
    near = np.abs(size * 2 - np.round(size * 2)) < 0.1
    return np.where(near, size + 0.11, size).astype(np.float32).astype(np.float64) * rng.choice([-1.0, 1.0], shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    """The sizes of `signed`."""
    return np.abs(signed(*shape, seed=seed))


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers all at least 1/64 apart, in random order: their maxima are no matter of luck."""
    count = int(np.prod(shape))
    return np.random.default_rng([seed, *shape]).permutation(count).reshape(shape) / 64 - count / 128


def whole(*shape: int, below: int, seed: int = 0, dtype: Any = np.int64) -> np.ndarray:
    """Integers from 0."""
    return np.random.default_rng([seed, *shape]).integers(0, below, shape).astype(dtype)


# One value by one value.
for name in ("abs", "ceil", "cos", "cosh", "erf", "exp", "expm1", "floor", "negative", "round", "sign", "sin", "sinh", "square", "tanh",
             "trunc", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "silu", "softplus"):
    put(name, getattr(tgc, name), signed(3, 5, 7))
put("tan", tgc.tan, signed(3, 5, most=1.2))
put("gelu tanh", lambda x: tgc.gelu(x, approximate=True), signed(4, 9))
put("nothing", nothing, signed(2, 3))
for name in ("log", "log1p", "sqrt"):
    put(name, getattr(tgc, name), positive(3, 5, 7))
for name in ("isfinite", "isinf", "isnan"):
    put(name, lambda x, name=name: getattr(tgc, name)(x / tgc.trunc(x)), signed(4, 9), order=0)
put("logical_not", tgc.logical_not, constants=(whole(4, 9, below=2, dtype=bool),), order=0)
for name in ("logical_and", "logical_or", "logical_xor"):
    put(name, getattr(tgc, name), constants=(whole(4, 9, below=2, dtype=bool), whole(9, below=2, seed=1, dtype=bool)), order=0)
for name in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal"):
    put(name, getattr(tgc, name), np.round(signed(5, 8)), np.round(signed(8, seed=1)), order=0)
for name in ("add", "subtract", "multiply", "divide", "floor_divide", "remainder"):
    put(name, getattr(tgc, name), signed(3, 1, 5), signed(4, 5, seed=1))
for name in ("maximum", "minimum"):
    put(name, getattr(tgc, name), distinct(3, 1, 5), distinct(4, 5, seed=1))
    put(f"{name} of equals", getattr(tgc, name), np.round(signed(5, 8)), np.round(signed(8, seed=1)))
put("pow", tgc.pow, positive(3, 5), signed(5, seed=1))
put("pow, a constant exponent", lambda x: x ** 3 + x ** -0.5, positive(3, 5))
put("clip", lambda x: tgc.clip(x, -0.7, 0.7), signed(5, 7))
put("where", lambda a, b, chosen: tgc.where(chosen, a, b), signed(4, 5), signed(5, seed=1), constants=(whole(4, 1, below=2, dtype=bool),))
put("gate", activation.gate, signed(4, 5), signed(4, 5, seed=1))
put("astype", lambda x, n: x * n.astype(x.dtype), signed(4, 5), constants=(whole(4, 5, below=9),))
put("astype of floats", lambda x: (x * 9).astype("int64") + (x > 0).astype("int64"), signed(4, 5), order=0)
put("numbers", lambda x: 2 - (x + 3) / 4 * x, signed(7))
put("integers", lambda n, m: (n * 3 + m) // 2 - n % 5, constants=(whole(4, 5, below=90), whole(5, below=9, seed=1)), order=0)

# Reductions and scans.
for name in ("sum", "mean", "var", "std", "logsumexp", "prod"):
    put(name, lambda x, name=name: getattr(tgc, name)(x), signed(4, 5))
    put(f"{name} of axes", lambda x, name=name: getattr(tgc, name)(x, (0, 2), keepdims=True), signed(3, 4, 5))
for name in ("max", "min"):
    put(name, lambda x, name=name: getattr(tgc, name)(x, 1), distinct(3, 4, 5))
    put(f"{name} of equals", lambda x, name=name: getattr(tgc, name)(x, (0, 2)), np.round(signed(3, 4, 5)))
for name in ("argmax", "argmin"):
    put(name, lambda x, name=name: getattr(tgc, name)(x, 1), np.round(signed(6, 40)), order=0)
for name in ("all", "any"):
    put(name, lambda b, name=name: getattr(tgc, name)(b, 0), constants=(whole(3, 40, below=2, dtype=bool),), order=0)
put("cumsum", lambda x: tgc.cumsum(x, 1) + tgc.cumsum(x, 0, reverse=True), signed(5, 7))
put("a long sum", lambda x: x.sum() + x.sum(0).mean(), signed(2100, 3))

# Shapes.
put("reshape", lambda x: tgc.reshape(x, (6, -1)) * 2, signed(3, 4, 5))
put("permute_dims", lambda x: tgc.permute_dims(x, (2, 0, 1)), signed(3, 4, 5))
put("matrix_transpose", tgc.matrix_transpose, signed(3, 4, 5))
put("moveaxis", lambda x: tgc.moveaxis(x, 0, -1), signed(3, 4, 5))
put("broadcast_to", lambda x: tgc.broadcast_to(x, (3, 4, 5)), signed(4, 1))
put("sum_to", lambda x: tgc.sum_to(x, (4, 1)), signed(3, 4, 5))
put("expand_dims, squeeze", lambda x: tgc.squeeze(tgc.expand_dims(x, (0, 2)), 2), signed(4, 5))
put("flip", lambda x: tgc.flip(x, (0, 2)), signed(3, 4, 5))
put("slices", lambda x: x[1:, ::-2, None, 2] * x[:2, 1:3, None, -1], signed(3, 4, 5))
put("concat", lambda a, b: tgc.concat([a, b, a], 1), signed(3, 4), signed(3, 2, seed=1))
put("stack, unstack", lambda a, b: tgc.unstack(tgc.stack([a, b], 1) * 2, 2)[1], signed(3, 4), signed(3, 4, seed=1))
put("split", lambda x: tgc.split(x, [2, 3], 1)[2] * 2, signed(3, 7))
put("repeat, tile, roll", lambda x: tgc.repeat(x, 3, 1) * tgc.roll(tgc.tile(x, (1, 3)), 2, 1), signed(3, 4))
for mode in ("constant", "edge", "reflect"):
    put(f"pad {mode}", lambda x, mode=mode: tgc.pad(x, ((1, 2), (2, 1)), mode), signed(4, 5))

# Values at places.
put("gather", lambda x, at: tgc.gather(x, at), signed(4, 9), constants=(whole(4, 6, below=9),))
put("take", lambda x, at: tgc.take(x, at, 0), signed(6, 3), constants=(whole(2, 5, below=6),))
put("take_along_axis", lambda x, at: tgc.take_along_axis(x, at, 1), signed(3, 6, 2), constants=(whole(3, 4, 2, below=6),))
put("scatter_add", lambda x, values, at: tgc.scatter_add(x, at, values), signed(4, 5), signed(4, 30, seed=1),
    constants=(whole(4, 30, below=5),))

# Matrix products.
put("matmul", tgc.matmul, signed(7, 19), signed(19, 5, seed=1), rounds=True)
put("matmul, larger", tgc.matmul, signed(130, 70), signed(70, 96, seed=1), rounds=True)
put("matmul, transposed", lambda a, b: tgc.matmul(a.mT, b.mT), signed(70, 33), signed(40, 70, seed=1), rounds=True)
put("matmul, stacked", tgc.matmul, signed(2, 1, 5, 9), signed(3, 9, 4, seed=1), rounds=True)
put("einsum", lambda a, b: tgc.einsum("nij,njk->ik", a, b), signed(3, 5, 6), signed(3, 6, 4, seed=1), rounds=True)
for after in (None, "relu", "tanh"):
    put(f"dense {after}", lambda x, w, b, after=after: tgc.dense(x, w, b, activation=after), signed(9, 20), signed(20, 12, seed=1) / 4,
        signed(12, seed=2), rounds=True)

# Convolutions.
WINDOWS = {"3x3": ((2, 7, 6, 3), (3, 3, 3, 5), {"padding": 1}),
           "a stride": ((2, 9, 8, 4), (3, 2, 4, 6), {"stride": (2, 3), "padding": ((1, 0), (2, 1))}),
           "holes": ((2, 9, 10, 3), (3, 3, 3, 4), {"dilation": (2, 3), "padding": 2}),
           "groups": ((2, 6, 7, 6), (3, 3, 3, 4), {"groups": 2, "padding": 1}),
           "each channel by itself": ((2, 6, 7, 5), (3, 3, 1, 5), {"groups": 5, "padding": 1}),
           "1x1": ((3, 5, 4, 20), (1, 1, 20, 9), {}),
           "many channels": ((2, 9, 11, 24), (3, 3, 24, 40), {"padding": 1}),
           "many channels, a stride": ((2, 10, 11, 32), (3, 3, 32, 16), {"padding": 1, "stride": 2})}
for name, (x, w, options) in WINDOWS.items():
    put(f"conv2d {name}", lambda x, w, options=options: tgc.conv2d(x, w, **options), signed(*x), signed(*w, seed=1) / 4, rounds=True)
for after in (None, "relu", "tanh"):
    put(f"conv2d, scale, bias, residual and {after}",
        lambda x, w, s, b, r, after=after: tgc.conv2d(x, w, b, padding=1, scale=s, residual=r, activation=after),
        signed(2, 5, 6, 3), signed(3, 3, 3, 4, seed=1) / 4, signed(4, seed=2), signed(4, seed=3), signed(2, 5, 6, 4, seed=4), rounds=True)
put("conv2d_transpose", lambda x, w, b: tgc.conv2d_transpose(x, w, b, stride=2, padding=1, output_padding=1), signed(2, 4, 5, 6),
    signed(3, 3, 4, 6, seed=1) / 4, signed(4, seed=2), rounds=True)
put("conv1d", lambda x, w, b: tgc.conv1d(x, w, b, stride=2, padding=1), signed(2, 9, 3), signed(3, 3, 4, seed=1), signed(4, seed=2),
    rounds=True)
put("conv1d_transpose", lambda x, w: tgc.conv1d_transpose(x, w, stride=2), signed(2, 5, 4), signed(3, 3, 4, seed=1), rounds=True)
put("im2col", lambda x: tgc.im2col(x, (3, 2), stride=2, padding=1, dilation=(1, 2)), signed(2, 7, 6, 3))
put("col2im", lambda c: tgc.col2im(c, (2, 5, 6, 3), 3, stride=2, padding=1), signed(18, 27))

# Pooling.
POOLS = {"2x2": {}, "overlapping": {"stride": 1, "padding": 1}, "to the edge": {"ceil_mode": True, "dilation": (1, 2)}}
for name, options in POOLS.items():
    put(f"max_pool2d {name}", lambda x, options=options: tgc.max_pool2d(x, 2, **options), distinct(2, 7, 6, 5))
    put(f"avg_pool2d {name}", lambda x, options=options: tgc.avg_pool2d(x, 2, **options), signed(2, 7, 6, 5))
put("max_pool1d of equals", lambda x: tgc.max_pool1d(x, 3, stride=2), np.round(signed(2, 9, 4)))
put("sum_pool2d", lambda x: tgc.sum_pool2d(x, 3, stride=2), signed(2, 7, 6, 5))
put("lp_pool2d", lambda x: tgc.lp_pool2d(x, 2, 3.0), positive(2, 6, 6, 3))
put("distance_pool2d", lambda x: tgc.distance_pool2d(x, 3, stride=2), positive(2, 7, 7, 3))
put("pool_gather", lambda x: pool.max_pool2d(x, 3, stride=2, padding=1) * x.sum(), distinct(1, 5, 5, 4))
put("adaptive_avg_pool2d", lambda x: tgc.adaptive_avg_pool2d(x, (3, 2)), signed(2, 7, 5, 4))
put("adaptive_max_pool2d", lambda x: adaptive.adaptive_max_pool2d(x, (3, 2)), distinct(2, 7, 5, 4))
put("global pools", lambda x: tgc.global_avg_pool(x) + tgc.global_max_pool(x), distinct(2, 5, 4, 3))
put("channel_max_pool", lambda x: tgc.channel_max_pool(x, 3), distinct(2, 3, 4, 6))

# Norms, softmax, losses, dropout.
for after in (None, "relu"):
    put(f"batch_norm {after}", lambda x, s, b, after=after: tgc.batch_norm(x, s, b, activation=after)[0], signed(4, 5, 6, 7),
        signed(7, seed=1), signed(7, seed=2))
    put(f"batch_norm, residual and {after}", lambda x, s, b, r, after=after: tgc.batch_norm(x, s, b, residual=r, activation=after)[0],
        signed(4, 3, 5, 8), signed(8, seed=1), signed(8, seed=2), signed(4, 3, 5, 8, seed=3))
put("batch_norm's statistics", lambda x, s, b: tgc.concat(tgc.batch_norm(x, s, b)[1:]), signed(4, 5, 3), signed(3, seed=1),
    signed(3, seed=2), order=0)
put("batch_norm_inference", lambda x, s, b, m, v: tgc.batch_norm_inference(x, s, b, m, v, activation="relu"), signed(4, 5, 3),
    signed(3, seed=1), signed(3, seed=2), signed(3, seed=3), positive(3, seed=4))
put("layer_norm", tgc.layer_norm, signed(6, 9), signed(9, seed=1), signed(9, seed=2))
put("group_norm", lambda x, s, b: tgc.group_norm(x, 2, s, b), signed(3, 4, 5, 6), signed(6, seed=1), signed(6, seed=2))
put("local_response_norm", lambda x: tgc.local_response_norm(x, 5, alpha=0.3), signed(2, 3, 4, 9))
put("softmax", tgc.softmax, signed(6, 11))
put("softmax of another axis", lambda x: tgc.softmax(x, 0), signed(6, 11))
put("log_softmax", tgc.log_softmax, signed(6, 11))
for reduction in ("mean", "sum", "none"):
    put(f"cross_entropy {reduction}", lambda x, labels, reduction=reduction: tgc.cross_entropy(x, labels, reduction=reduction),
        signed(9, 6), constants=(whole(9, below=6),))
put("cross_entropy, weighted and smoothed",
    lambda x, labels: tgc.cross_entropy(x, labels, weights=np.arange(1.0, 7.0), label_smoothing=0.1, ignore_index=2),
    signed(9, 6), constants=(whole(9, below=6),))
put("cross_entropy of shares", lambda x, y: tgc.cross_entropy(x, tgc.softmax(y)), signed(9, 6), signed(9, 6, seed=1))
put("binary_cross_entropy", tgc.binary_cross_entropy_with_logits, signed(4, 5), positive(4, 5, seed=1) / 2)
for name in ("mse", "l1", "huber"):
    put(name, getattr(tgc, name), distinct(4, 5), distinct(4, 5, seed=1) / 2)
put("dropout", lambda x: tgc.dropout(x, 0.3, key=7, step=5), signed(37, 11))
put("dropout of a part", lambda x: tgc.dropout(x, 0.3, key=7, step=5, first_row=3), signed(5, 11))
put("remat", lambda x: tgc.remat(lambda x: tgc.exp(tgc.dropout(x, 0.3, key=7, step=5)))(x), signed(5, 11))
