"""What a kernel applies to its finished results: the definition of `finish` in epilogue.pxi."""
from __future__ import annotations

import numpy as np


def finish(y, scale, bias, residual, activation):
    """y = act(y · scale + bias + residual), in place; None is left out.

    y           (…, C)
    scale       (C,) or None
    bias        (C,) or None
    residual    like y, or None
    activation  a number of ACTIVATIONS
    """
    if scale is not None:
        y *= scale
    if bias is not None:
        y += bias
    if residual is not None:
        y += residual
    if activation == 1:
        np.maximum(y, 0, out=y)
    elif activation == 2:
        np.tanh(y, out=y)
