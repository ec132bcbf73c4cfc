"""Numbers into probabilities over the last axis: softmax, its logarithm, and the loss that is made of it."""
from __future__ import annotations

import numpy as np


def log_softmax(x, y):
    """y[m, c] = x[m, c] − log Σ exp x[m, ·], with each row's maximum taken out first, so that nothing overflows.

    A −∞ stays −∞: its class has probability 0. A row that is all −∞, or holds +∞ or NaN, has no softmax and becomes NaN.

    x, y  (M, C); y filled
    """
    if x.size == 0:
        return
    with np.errstate(invalid="ignore"):                  # ∞ − ∞ is the NaN that is promised
        np.subtract(x, x.max(1, keepdims=True), out=y)
        y -= np.log(np.exp(y).sum(1, keepdims=True))


def softmax(x, y):
    """y[m, c] = exp x[m, c] / Σ exp x[m, ·]: positive numbers that sum to 1, where log_softmax is not NaN.

    x, y  (M, C); y filled
    """
    log_softmax(x, y)
    np.exp(y, out=y)


def log_softmax_backward(g, y, dx):
    """dx[m, c] = g[m, c] − exp y[m, c] · Σ g[m, ·]: the cotangent g of y = log_softmax(x), brought back to x.

    g, y, dx  (M, C); dx filled
    """
    dx[...] = g - np.exp(y) * g.sum(1, keepdims=True)


def softmax_backward(g, y, dx):
    """dx[m, c] = y[m, c] · (g[m, c] − Σ g[m, ·] · y[m, ·]): the cotangent g of y = softmax(x), brought back to x.

    g, y, dx  (M, C); dx filled
    """
    dx[...] = y * (g - (g * y).sum(1, keepdims=True))


def cross_entropy(logits, labels, weights, losses, gradient, smoothing, ignore, reduction):
    """loss[m] = −Σ_c q[m, c] · w[c] · log softmax(logits)[m, c], q = (1 − smoothing) · [c = labels[m]] + smoothing / C.

    gradient[m, c] = w̄[m] · softmax[m, c] − q[m, c] · w[c], w̄[m] = Σ_c q[m, c] · w[c]: the derivative of loss[m], or of the mean.

    logits     (M, C)
    labels     (M,), int64; examples with the label `ignore` have the loss 0 and the gradient 0
    weights    (C,), or None where all are 1
    losses     filled: the M losses where `reduction` is 0, their sum (1,) where it is 1, and where it is 2 their mean (1,): the sum divided
               by Σ w[labels[m]] over the examples that are not ignored
    gradient   (M, C), filled; of the mean where `reduction` is 2
    """
    M, C = logits.shape
    counted, rows = labels != ignore, np.arange(M)
    at = np.where(counted, labels, 0)
    w = np.ones(C, logits.dtype) if weights is None else weights
    log_p = np.empty_like(logits)
    log_softmax(logits, log_p)
    q = np.full((M, C), smoothing / C)
    q[rows, at] += 1 - smoothing
    q *= w
    terms = q * log_p if smoothing else np.zeros((M, C))
    if not smoothing:                                    # an impossible class that is not asked for costs nothing: no 0 · log 0
        terms[rows, at] = w[at] * log_p[rows, at]
    each = np.where(counted, -terms.sum(1), 0)
    share = w[at][counted].sum(dtype=np.float64) if reduction == 2 else 1
    gradient[...] = np.where(counted[:, None], q.sum(1, keepdims=True) * np.exp(log_p) - q, 0)
    if reduction == 2:
        with np.errstate(invalid="ignore", divide="ignore"):     # the mean of nothing, or of what has no weight, is NaN
            losses[0] = np.divide(each.sum(), share)
            gradient[counted] /= share
    else:
        losses[...] = each if reduction == 0 else each.sum()
