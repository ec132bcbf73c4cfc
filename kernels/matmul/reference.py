"""Batched matrix products, either operand transposed or not; and a dense layer, a product with what follows it."""
from __future__ import annotations

import numpy as np

from ..epilogue import finish


def matmul(a, b, y, transpose_a, transpose_b):
    """y[n, i, j] = Σ_k a[n, i, k] · b[n, k, j]: one matrix product per leading index, or one alone where there is none.

    a  (B, M, K), or (B, K, M) with `transpose_a`;  (M, K) or (K, M)
    b  (B, K, N), or (B, N, K) with `transpose_b`;  (K, N) or (N, K)
    y  (B, M, N), filled;                           (M, N)
    """
    y[...] = np.matmul(a.swapaxes(-2, -1) if transpose_a else a, b.swapaxes(-2, -1) if transpose_b else b)


def dense(x, w, bias, y, activation):
    """y = act(x @ w + bias).

    x           (M, I)
    w           (I, O)
    bias        (O,) or None
    y           (M, O), filled
    activation  a number of ACTIVATIONS
    """
    np.matmul(x, w, out=y)
    finish(y, None, bias, None, activation)
