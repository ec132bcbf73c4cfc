"""Every op with windows, norms and losses runs on shapes alone, forward and backward: tables are made that way."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.backends import ABSTRACT
from tinygradconv.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d, channel_max_pool, global_avg_pool
from tinygradconv.ops.conv import conv2d, conv2d_transpose
from tinygradconv.ops.dropout import dropout
from tinygradconv.ops.im2col import im2col
from tinygradconv.ops.loss import cross_entropy
from tinygradconv.ops.norm import batch_norm, group_norm, layer_norm, local_response_norm
from tinygradconv.ops.pool import avg_pool2d, distance_pool2d, lp_pool2d, max_pool2d


def abstract(*shape, dtype=np.float32):
    return tgc.Tensor.of(ABSTRACT.empty(shape, np.dtype(dtype)))


OPS = {
    "conv2d": (lambda x: conv2d(x, abstract(3, 3, 4, 6), abstract(6), padding=1), (2, 8, 8, 6)),
    "conv2d_transpose": (lambda x: conv2d_transpose(x, abstract(2, 2, 6, 4), stride=2), (2, 16, 16, 6)),
    "im2col": (lambda x: im2col(x, 3), (72, 36)),
    "max_pool2d": (lambda x: max_pool2d(x, 2), (2, 4, 4, 4)),
    "avg_pool2d": (lambda x: avg_pool2d(x, 2), (2, 4, 4, 4)),
    "lp_pool2d": (lambda x: lp_pool2d(x, 2), (2, 4, 4, 4)),
    "distance_pool2d": (lambda x: distance_pool2d(x, 2), (2, 4, 4, 4)),
    "adaptive_avg_pool2d": (lambda x: adaptive_avg_pool2d(x, 3), (2, 3, 3, 4)),
    "adaptive_max_pool2d": (lambda x: adaptive_max_pool2d(x, 3), (2, 3, 3, 4)),
    "global_avg_pool": (global_avg_pool, (2, 4)),
    "channel_max_pool": (lambda x: channel_max_pool(x, 2), (2, 8, 8, 2)),
    "batch_norm": (lambda x: batch_norm(x, abstract(4), abstract(4))[0], (2, 8, 8, 4)),
    "layer_norm": (lambda x: layer_norm(x, abstract(4), abstract(4)), (2, 8, 8, 4)),
    "group_norm": (lambda x: group_norm(x, 2), (2, 8, 8, 4)),
    "local_response_norm": (local_response_norm, (2, 8, 8, 4)),
    "dropout": (lambda x: dropout(x, 0.5, key=0, step=0), (2, 8, 8, 4)),
    "cross_entropy": (lambda x: cross_entropy(x, abstract(2, 8, 8, dtype=np.int64)), ()),
    "cross_entropy_all": (lambda x: cross_entropy(x, abstract(2, 8, 8, dtype=np.int64), weights=np.ones(4), ignore_index=0,
                                                  label_smoothing=0.1), ()),
}


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_op_runs_on_shapes_alone(name):
    f, shape = OPS[name]
    x = abstract(2, 8, 8, 4).requires_grad_()
    y = f(x)
    assert y.shape == shape and y.device == "abstract"
    gradient = tgc.grad(y, x, abstract(*shape))
    assert gradient.shape == x.shape and gradient.device == "abstract"


def test_windows_whose_taps_32_bits_cannot_hold_are_refused():
    x = abstract(1, 65536, 32768, 1)
    assert max_pool2d(x, 2).shape == (1, 32768, 16384, 1)
    with pytest.raises(ValueError, match="max_pool2d: a window of 65536×32768 cells is too large: taps are 32-bit. Pool in two steps"):
        max_pool2d(x, (65536, 32768))
