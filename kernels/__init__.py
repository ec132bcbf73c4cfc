"""The manifest: every kernel that exists, its arguments, and the folder that holds its implementations.

A kernel fills arrays that it is handed. The contract is the same in every language:

    arrays in first, scratch (`workspace`) next, arrays to fill after them, then integers, floats and one geometry;
    arrays are C-contiguous unless the kernel is marked `strided`; a kernel returns None and never sees a Tensor.
    (An optimiser's step takes tuples of arrays, one array for each parameter.)

`kernels/<folder>/reference.py` (NumPy) is the definition and the oracle; `kernels/<folder>/cpu.pyx` (Cython) and
`kernels/<folder>/cuda.py` (Numba) do the same faster. A kernel that has no `cpu` form runs as its reference on the CPU.
A kernel with a `workspace` argument has a sibling `<name>_workspace(geo, itemsize)` that says how many bytes it needs.
Where a row says `packs`, the compiled form takes in place of that argument a flat array of bytes, `packed`: its own layout of it,
which `<name>_pack(w, packed, last)` fills and `<name>_packed_bytes(w, last)` sizes; `last` is the call's last argument. Where it says
`unpacked` too, it also takes the argument as it is, which is quicker up to so many rows of x if the layout were used only once.
Where a row says `instead_of`, it computes what that kernel computes, another way: a back end may run it instead.
Where a row says `also`, its CUDA form may be given that too, by name: `moments` is a dict in which a convolution leaves sums of its
result, for the batch norm behind it, which is given the same dict (conv/moments.py).
The arguments `scale`, `bias` and `residual` of a kernel with an `activation` may be None: nothing is scaled or added.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

if __name__ != "tinygradconv.kernels":
    raise ImportError("import tinygradconv.kernels, not kernels: the folder is installed inside the package")


@dataclass(frozen=True)
class Kernel:
    """One row of the manifest: argument names in order, which are filled, where the implementations stand; the rest is said above."""

    folder: str
    arguments: tuple[str, ...]
    fills: tuple[str, ...]
    cpu: bool = True
    strided: bool = False
    packs: str | None = None
    unpacked: int = 0
    instead_of: str | None = None
    also: tuple[str, ...] = ()


def _row(folder: str, arguments: str, fills: str, **more: Any) -> Kernel:
    return Kernel(folder, tuple(arguments.split(", ")), tuple(fills.split(", ")), **more)


# What is done to the images of a batch where it is made on their device, and their numbers (assemble/reference.py).
CHANGES: dict[str, int] = {"crop": 0, "flip": 1, "cutout": 2}

# The activations that kernels apply to what they have just computed, and their numbers.
ACTIVATIONS: dict[str | None, int] = {None: 0, "relu": 1, "tanh": 2}

# name                    folder        arguments                                                     fills
KERNELS: dict[str, Kernel] = {
    "conv2d_forward":      _row("conv", "x, w, scale, bias, residual, workspace, y, activation, geo", "y", packs="w",
                                also=("moments",)),
    "conv2d_grad_input":   _row("conv", "g, w, workspace, x, geo", "x"),
    "conv2d_grad_weight":  _row("conv", "x, g, workspace, w, geo", "w"),
    "winograd_forward":    _row("winograd", "x, w, scale, bias, residual, workspace, y, activation, geo", "y", packs="w",
                                instead_of="conv2d_forward"),
    "winograd_grad_input": _row("winograd", "g, w, workspace, x, geo", "x", instead_of="conv2d_grad_input"),
    "winograd_grad_weight": _row("winograd", "x, g, workspace, w, geo", "w", instead_of="conv2d_grad_weight"),
    "depthwise_forward":   _row("depthwise", "x, w, scale, bias, residual, workspace, y, activation, geo", "y", packs="w",
                                instead_of="conv2d_forward"),
    "depthwise_grad_input":  _row("depthwise", "g, w, workspace, x, geo", "x", instead_of="conv2d_grad_input"),
    "depthwise_grad_weight": _row("depthwise", "x, g, workspace, w, geo", "w", instead_of="conv2d_grad_weight"),
    "im2col":              _row("im2col", "x, cols, geo", "cols"),
    "col2im":              _row("im2col", "cols, x, geo", "x"),
    "matmul":              _row("matmul", "a, b, y, transpose_a, transpose_b", "y"),
    "dense":               _row("matmul", "x, w, bias, y, activation", "y", packs="w", unpacked=512),
    "max_pool2d":          _row("pool", "x, y, where, geo", "y, where"),
    "pool_gather":         _row("pool", "x, where, y, geo", "y"),
    "pool_scatter":        _row("pool", "g, where, x, geo", "x"),
    "window_sum":          _row("pool", "x, weights, scale, y, geo", "y"),
    "window_spread":       _row("pool", "g, weights, scale, x, geo", "x"),
    "adaptive_mean":       _row("adaptive", "x, starts, ends, scale, y", "y"),
    "adaptive_spread":     _row("adaptive", "g, starts, ends, scale, x", "x"),
    "adaptive_max":        _row("adaptive", "x, starts, ends, y, where", "y, where"),
    "batch_norm_forward":  _row("norm", "x, scale, shift, residual, y, mean, variance, passed, epsilon, activation",
                                "y, mean, variance, passed", also=("moments",)),
    "batch_norm_backward": _row("norm", "g, x, passed, scale, mean, variance, dx, dscale, dshift, dresidual, epsilon, activation",
                                "dx, dscale, dshift, dresidual"),
    "affine":              _row("norm", "x, scale, shift, residual, y, activation", "y"),
    "bias_backward":       _row("bias", "g, y, dz, dbias, activation", "dz, dbias"),
    "group_norm_forward":  _row("norm", "x, y, mean, variance, epsilon", "y, mean, variance"),
    "group_norm_backward": _row("norm", "g, x, mean, variance, dx, epsilon", "dx"),
    "local_response_norm_forward":  _row("norm", "x, y, size, alpha, beta, k", "y"),
    "local_response_norm_backward": _row("norm", "g, x, dx, size, alpha, beta, k", "dx"),
    "unary":               _row("elementwise", "x, y, op", "y", strided=True),
    "binary":              _row("elementwise", "a, b, y, op", "y", strided=True),
    "ternary":             _row("elementwise", "a, b, c, y, op", "y", strided=True),
    "where":               _row("elementwise", "condition, a, b, y", "y", strided=True),
    "copy":                _row("elementwise", "x, y", "y", strided=True),
    "reduce":              _row("reduce", "x, y, op, axes", "y", strided=True),
    "extreme_backward":    _row("reduce", "g, x, y, dx, axes", "dx"),
    "prod_backward":       _row("reduce", "g, x, dx, axes", "dx"),
    "arg_reduce":          _row("reduce", "x, y, op, axis", "y", strided=True),
    "cumulative_sum":      _row("reduce", "x, y, axis, reverse", "y", strided=True),
    "gather":              _row("gather", "x, where, y", "y", cpu=False),
    "scatter_add":         _row("gather", "g, where, x", "x", cpu=False),
    "log_softmax":         _row("softmax", "x, y", "y"),
    "softmax":             _row("softmax", "x, y", "y"),
    "log_softmax_backward": _row("softmax", "g, y, dx", "dx"),
    "softmax_backward":    _row("softmax", "g, y, dx", "dx"),
    "cross_entropy":       _row("softmax", "logits, labels, weights, losses, gradient, smoothing, ignore, reduction", "losses, gradient"),
    "random_bits":         _row("random", "bits, key, step", "bits"),
    "dropout":             _row("random", "x, y, rate, key, step", "y"),
    "warp":                _row("warp", "x, maps, boxes, mean, deviation, y, fill", "y"),
    "distortions":         _row("warp", "bits, maps, H, W, rotation, scale, shear, shift", "maps"),
    "normalize":           _row("normalize", "x, mean, deviation, y", "y"),
    "assemble":            _row("assemble", "images, labels, order, place, changes, fills, mean, deviation, x, y, first, total", "x, y",
                                cpu=False),
    "sgd":                 _row("update", "g, velocity, p, rate, momentum, decay, nesterov", "velocity, p"),
    "adam":                _row("update", "g, first, second, p, rate, beta1, beta2, epsilon, decay, step, decoupled", "first, second, p"),
}
