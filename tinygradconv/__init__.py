"""tinygradconv: see how a convolutional network learns, and train it fast.

Tensors and derivatives are here (`Tensor`, `grad`, `conv2d`, …); networks in `tinygradconv.spec` and `tinygradconv.models`, training
in `tinygradconv.train`, data sets in `tinygradconv.data`, worked steps in `tinygradconv.explain`.
"""
from pathlib import Path as _Path
from types import ModuleType as _ModuleType
from typing import Any as _Any

from ._locate import locate as _locate

_locate(_Path(__file__).resolve().parent, __path__)

# ruff: noqa: E402, F401  (everything imported below is a public name)
from .anomaly import AnomalyError, anomaly
from .autodiff import Primitive, elementwise, grad, no_grad, primitive
from .backends import memory_statistics
from .capture import capture
from .custom import custom_op
from .gradcheck import GradcheckError, gradcheck
from .ops.activation import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus
from .ops.adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    channel_max_pool,
    global_avg_pool,
    global_max_pool,
)
from .ops.conv import conv1d, conv1d_transpose, conv2d, conv2d_transpose
from .ops.create import arange, asarray, eye, from_dlpack, full, full_like, linspace, ones, ones_like, zeros, zeros_like
from .ops.dropout import dropout
from .ops.einsum import einsum
from .ops.elementwise import (
    abs,
    add,
    ceil,
    clip,
    cos,
    cosh,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    remainder,
    round,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
    where,
)
from .ops.gather import gather, scatter_add, take, take_along_axis
from .ops.im2col import col2im, im2col
from .ops.join import concat, pad, repeat, roll, split, stack, tile, unstack
from .ops.loss import binary_cross_entropy_with_logits, cross_entropy, huber, l1, mse
from .ops.matmul import dense, matmul
from .ops.norm import batch_norm, batch_norm_inference, group_norm, layer_norm, local_response_norm
from .ops.pool import (
    avg_pool1d,
    avg_pool2d,
    distance_pool1d,
    distance_pool2d,
    lp_pool1d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
    sum_pool1d,
    sum_pool2d,
)
from .ops.power import pow
from .ops.reduce import all, any, argmax, argmin, cumsum, max, mean, min, sum
from .ops.shape import broadcast_to, expand_dims, flip, matrix_transpose, moveaxis, permute_dims, reshape, squeeze, sum_to
from .ops.softmax import log_softmax, softmax
from .ops.spread import logsumexp, prod, std, var
from .remat import remat
from .settings import settings
from .tensor import Tensor

__version__ = "0.1.0"
__all__ = sorted(name for name, value in globals().items() if not name.startswith("_") and not isinstance(value, _ModuleType))


def __getattr__(name: str) -> _Any:
    """Import the larger subpackages when they are first asked for: `tgc.spec`, `tgc.explain`, …"""
    if name in ("cli", "data", "explain", "interop", "models", "spec", "train"):
        import importlib
        return importlib.import_module(f"{__name__}.{name}")
    from .ops.spelling import missing
    raise missing("tinygradconv", name)
