# cython: annotation_typing=False
# A wrong type is answered by errors of our own.
"""Losses: how far a prediction is from its target, as one number to go down.

    cross_entropy    −log softmax(logits)[target]
    mse, l1, huber   (p − t)²,  |p − t|,  between the two
    binary_cross_entropy_with_logits   −t·log σ(x) − (1 − t)·log(1 − σ(x))

`reduction` is "mean", "sum" or "none". All are stable for logits of any size. Cross-entropy of class indices is one kernel, which gives
the gradient too; the others are compositions of ops with rules.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.arrays import as_rows
from tinygradconv.autodiff import primitive, recording
from tinygradconv.geometry import integer, real
from tinygradconv.ops.activation import softplus
from tinygradconv.ops.device import beside
from tinygradconv.ops.elementwise import abs, less_equal, square, where
from tinygradconv.ops.reduce import mean, sum
from tinygradconv.ops.softmax import log_softmax, softmax
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import as_tensor, floating_tensors
from tinygradconv.tensor import Tensor

NOBODYS = -2**63                                            # the label to ignore where none is
REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}               # their numbers in the kernel


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _reduced(values: Tensor, reduction: str) -> Tensor:
    return values if reduction == "none" else sum(values) if reduction == "sum" else mean(values)


@numpy_names
def cross_entropy(logits: Any, targets: Any, *, weights: Any = None, label_smoothing: float = 0.0, ignore_index: int | None = None,
                  reduction: str = "mean") -> Tensor:
    """−Σ_c q[c] · w[c] · log softmax(logits)[c], where q is 1 at the target class, or the given probabilities, smoothed.

    logits (…, C). targets: class indices, integers of shape (…), or probabilities, floating, of the shape of logits. `weights`
    (C,) are constants. `label_smoothing` ε replaces q by (1 − ε)·q + ε/C. `ignore_index` marks examples that count for nothing.
    The mean divides by the sum of the weights of the target classes (by the number of examples for probabilities), as PyTorch
    does; the mean of nothing is NaN.
    TypeError or ValueError for targets of another kind or shape, classes out of range, or NaN; on a GPU the values of targets are not
    looked at, and a class out of range gives NaN.
    """
    name = "cross_entropy"
    _check_reduction(name, reduction)
    if type(logits) is not Tensor or logits.data.dtype.kind != "f":
        (logits,) = floating_tensors(name, ("logits",), (logits,))
    targets = as_tensor(name, "targets", targets)
    if logits.ndim < 1 or logits.shape[-1] < 1:
        raise ValueError(f"{name}: logits must have at least one class on the last axis, got shape {logits.shape}")
    if ignore_index is not None:
        ignore_index = integer("ignore_index", ignore_index, at_least=-2**63, at_most=2**63 - 1, where=name)
    known = type(label_smoothing) is float                       # every step of training passes here, so the usual case is quick
    if not 0 <= (label_smoothing if known else real("label_smoothing", label_smoothing, where=name)) <= 1:
        raise ValueError(f"{name}: label_smoothing must be between 0 and 1, got {label_smoothing!r}")
    _check_targets(name, logits, targets, ignore_index)
    chosen = None if weights is None else _class_weights(name, weights, logits)
    if targets.dtype.kind == "f":
        return _of_probabilities(logits, targets.astype(logits.dtype), chosen, label_smoothing, reduction)
    known = type(targets.data) is np.ndarray                     # an abstract array has no values, and for a GPU's one would have to wait
    labels = Tensor.of(_labels(name, targets.data, logits.shape[-1], ignore_index)) if known else targets.astype(np.int64)
    return _of_labels(logits, labels, weights=chosen, smoothing=float(label_smoothing),
                      ignore=NOBODYS if ignore_index is None else ignore_index, reduction=reduction)


def _of_probabilities(logits: Tensor, q: Tensor, weights: np.ndarray | None, smoothing: float, reduction: str) -> Tensor:
    if smoothing:
        q = q * (1 - smoothing) + smoothing / logits.shape[-1]
    terms = q * log_softmax(logits)
    terms = where(q != 0, terms, 0)                           # 0 · log 0 is 0: an impossible class that is not asked for
    return _reduced(-sum(terms if weights is None else terms * beside(terms, weights), -1), reduction)


@primitive(byproducts=("slope",))
def _of_labels(be: Any, logits: Any, labels: Any, *, weights: np.ndarray | None, smoothing: float, ignore: int, reduction: str) -> Any:
    """(loss, slope): labels (…) are int64, in range or `ignore`; slope (…, C) is the derivative of each example's loss, or of the mean."""
    y, slope = be.empty(labels.shape if reduction == "none" else (), logits.dtype), be.like(logits)
    chosen = None if weights is None else be.constant(weights)
    be.run("cross_entropy", as_rows(logits), labels.reshape(-1), chosen, y.reshape(-1), as_rows(slope), smoothing, ignore,
           REDUCTIONS[reduction])
    return y, slope


def _of_labels_rule(g: Tensor, logits: Tensor, labels: Tensor, slope: Tensor, weights: np.ndarray | None, smoothing: float, ignore: int,
                    reduction: str) -> Tensor:
    """g · slope, slope = Σ_c q·w · softmax − q·w; where the backward pass is itself recorded, made of ops again."""
    g = g.reshape((*g.shape, 1)) if reduction == "none" else g
    if not recording():
        return slope * g
    values, C = labels.numpy(), logits.shape[-1]
    counted = values != ignore
    classes = np.where(counted, values, 0)
    amounts = np.full(logits.shape, smoothing / C)                                       # q · w
    amounts += (1 - smoothing) * (classes[..., None] == np.arange(C))
    amounts *= 1 if weights is None else weights
    share = 1 if reduction != "mean" else counted.sum() if weights is None else weights[classes[counted]].sum(dtype=np.float64)
    amounts = beside(logits, amounts.astype(logits.dtype))
    each = softmax(logits) * amounts.sum(-1, keepdims=True) - amounts
    return where(beside(logits, counted[..., None]), each * (g / float(share)), 0)


_of_labels.vjp(logits=_of_labels_rule)
_of_labels.name = "cross_entropy"


def _labels(name: str, values: np.ndarray, C: int, ignore: int | None) -> np.ndarray:
    """A copy of class indices as int64; ValueError where one is neither a class nor the one to ignore."""
    labels = values.astype(np.int64, order="C")
    if ignore is None and (labels.size == 0 or np.maximum.reduce(labels.view(np.uint64), axis=None) < C):   # less than 0 is large there
        return labels
    bad = (values < 0) | (values >= C)
    if ignore is not None:
        bad &= values != ignore
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}: targets must be classes 0 … {C - 1}, got {values[at].item()} at index {at}. "
                         f"To leave such examples out use ignore_index={values[at].item()}")
    return labels


def _class_weights(name: str, weights: Any, logits: Tensor) -> np.ndarray:
    if isinstance(weights, Tensor) and weights.requires_grad:
        raise TypeError(f"{name}: weights are constants, but this tensor requires a gradient. Use weights.detach()")
    array = as_tensor(name, "weights", weights).numpy().astype(logits.dtype)
    if array.shape != logits.shape[-1:]:
        raise ValueError(f"{name}: weights must have shape ({logits.shape[-1]},), one per class, got {array.shape}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"{name}: weights must be finite and not negative, got {array.tolist()}")
    return array


def _check_targets(name: str, logits: Tensor, targets: Tensor, ignore: int | None) -> None:
    """Targets of the right kind and shape, and probabilities in range; the message says which target is wrong."""
    kind = targets.dtype.kind
    if kind == "f":
        if targets.shape != logits.shape:
            raise ValueError(f"{name}: floating targets are probabilities and must have the shape {logits.shape} of logits, "
                             f"got {targets.shape}"
                             + (". Class indices are integers: use targets.astype('int64')" if targets.shape == logits.shape[:-1] else ""))
        if ignore is not None:
            raise ValueError(f"{name}: ignore_index (={ignore}) is for class indices; these targets are probabilities. "
                             "Make their rows zero instead")
    elif kind == "b":
        raise TypeError(f"{name}: targets must be integers (class indices) or floating (probabilities), got bool. "
                        "Use targets.astype('float32')")
    elif targets.shape != logits.shape[:-1]:
        raise ValueError(f"{name}: integer targets are class indices and must have shape {logits.shape[:-1]} for logits "
                         f"{logits.shape}, got {targets.shape}"
                         + (". For one-hot targets use targets.astype('float32')" if targets.shape == logits.shape else ""))
    if kind == "f":
        _check_probabilities(name, targets)


def _check_probabilities(name: str, targets: Tensor) -> None:
    if type(targets.data) is not np.ndarray:
        return
    values = targets.numpy()
    bad = ~((values >= 0) & (values <= 1))                   # NaN is bad too
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}: targets must be probabilities between 0 and 1, got {values[at].item()} at index {at}")


def _pair(name: str, first: str, a: Any, b: Any, reduction: str) -> list[Tensor]:
    """Prediction and target in one floating dtype; they must have one shape, as broadcasting (N, 1) against (N,) is a classic mistake."""
    _check_reduction(name, reduction)
    a, b = floating_tensors(name, (first, "targets"), (a, b))
    if a.shape != b.shape:
        raise ValueError(f"{name}: {first} and targets must have one shape, got {a.shape} and {b.shape}. "
                         "Reshape one of them, or use broadcast_to")
    return [a, b]


@numpy_names
def mse(predictions: Any, targets: Any, *, reduction: str = "mean") -> Tensor:
    """(p − t)², the squared error, averaged over all values (or summed, or each). ValueError where the shapes differ."""
    p, t = _pair("mse", "predictions", predictions, targets, reduction)
    return _reduced(square(p - t), reduction)


@numpy_names
def l1(predictions: Any, targets: Any, *, reduction: str = "mean") -> Tensor:
    """|p − t|, averaged over all values (or summed, or each); the gradient where p = t is 0."""
    p, t = _pair("l1", "predictions", predictions, targets, reduction)
    return _reduced(abs(p - t), reduction)


@numpy_names
def huber(predictions: Any, targets: Any, *, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """½(p − t)² where |p − t| ≤ delta, delta·(|p − t| − ½·delta) beyond: squares near, lines far away. Source: Huber 1964."""
    p, t = _pair("huber", "predictions", predictions, targets, reduction)
    if real("delta", delta, where="huber") <= 0:
        raise ValueError(f"huber: delta must be positive and finite, got {delta!r}")
    far = abs(p - t)
    return _reduced(where(less_equal(far, delta), square(p - t) * 0.5, (far - 0.5 * delta) * delta), reduction)


@numpy_names
def binary_cross_entropy_with_logits(logits: Any, targets: Any, *, weights: Any = None, reduction: str = "mean") -> Tensor:
    """−t·log σ(x) − (1 − t)·log(1 − σ(x)) = t·softplus(−x) + (1 − t)·softplus(x): no sum of large numbers that cancel, no overflow.

    logits and targets of one shape, targets between 0 and 1; `weights` multiply the losses and broadcast to their shape.
    The mean divides by the number of values.
    """
    x, t = _pair("binary_cross_entropy_with_logits", "logits", logits, targets, reduction)
    _check_probabilities("binary_cross_entropy_with_logits", t)
    losses = t * softplus(-x) + (1 - t) * softplus(x)
    if weights is not None:
        weighted = losses * weights
        if weighted.shape != losses.shape:
            raise ValueError(f"binary_cross_entropy_with_logits: weights must broadcast to the shape {losses.shape} of logits, "
                             f"got {np.shape(weights)}")
        losses = weighted.astype(losses.dtype)
    return _reduced(losses, reduction)
