"""Matrix products, y[…, m, n] = Σₖ a[…, m, k] · b[…, k, n], and the dense layer, y = act(x @ w + bias), as one op."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.autodiff import Primitive, primitive, recording
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.ops.bias import activation_slope, bias_backward, checked_activation
from tinygradconv.ops.shape import broadcast_to, expand_dims, reshape
from tinygradconv.promotion import as_tensors, floating_tensors, result_dtype
from tinygradconv.tensor import Tensor, Value


def _product(transpose_a: bool, transpose_b: bool) -> Primitive:
    """The op y = op(a) @ op(b), where each operand may come transposed: one for each of the four cases, as an option costs time."""
    @primitive(name="matmul")
    def product(be: Any, a: Any, b: Any) -> Any:
        """a (M, K) or (K, M), b (K, N) or (N, K), y (M, N); or a batch of such products, with one more axis in front."""
        rows, columns = shape_of(a), shape_of(b)
        y = be.empty(rows[:-2] + (rows[-1 if transpose_a else -2], columns[-2 if transpose_b else -1]), dtype_of(a))
        be.run("matmul", a, b, y, transpose_a, transpose_b)
        return y

    def grad_a(g: Tensor, b: Tensor) -> Tensor:
        """y = AB: ∂a = g Bᵀ, and its transpose where a came transposed."""
        return _products[transpose_b, True](b, g) if transpose_a else _products[False, not transpose_b](g, b)

    def grad_b(g: Tensor, a: Tensor) -> Tensor:
        """y = AB: ∂b = Aᵀ g, and its transpose where b came transposed."""
        return _products[True, transpose_a](g, a) if transpose_b else _products[not transpose_a, False](a, g)

    return product.vjp(a=grad_a, b=grad_b)


_products = {(first, second): _product(first, second) for first in (False, True) for second in (False, True)}
_matmul, _by_transposed, _transposed_by = _products[False, False], _products[False, True], _products[True, False]


def matmul(a: Any, b: Any) -> Tensor:
    """y[…, m, n] = Σₖ a[…, m, k] · b[…, k, n]; leading axes broadcast, and a vector is a row on the left, a column on the right."""
    a, b = as_tensors("matmul", ("a", "b"), (a, b))
    first: Value = a
    second: Value = b
    rows, columns = shape_of(first.data), shape_of(second.data)
    if len(rows) == len(columns) == 2 and rows[1] == columns[0] and dtype_of(first.data) is dtype_of(second.data):
        return _matmul(a, b)                                                          # the commonest case, by the shortest way
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: a and b need at least one axis, got shapes {a.shape} and {b.shape}. Multiply by a number with *")
    inner = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if inner[0] != inner[1]:
        raise ValueError(f"matmul: the last axis of a ({inner[0]}) must equal axis {-2 if b.ndim > 1 else 0} of b ({inner[1]}); "
                         f"a is {a.shape}, b is {b.shape}")
    dtype = result_dtype((a.dtype, b.dtype))
    left = a.astype(dtype) if a.ndim > 1 else expand_dims(a.astype(dtype), 0)
    right = b.astype(dtype) if b.ndim > 1 else expand_dims(b.astype(dtype), 1)
    M, K, N = left.shape[-2], inner[0], right.shape[-1]
    if right.ndim == 2:                                        # one matrix for all: the leading axes are rows
        lead = left.shape[:-2]
        y = _matmul(reshape(left, (math.prod(lead) * M, K)), right)
    else:
        try:
            lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        except ValueError:
            raise ValueError(f"matmul: the leading axes of a {a.shape} and b {b.shape} do not broadcast") from None
        y = _matmul(reshape(broadcast_to(left, (*lead, M, K)), (math.prod(lead), M, K)),
                    reshape(broadcast_to(right, (*lead, K, N)), (math.prod(lead), K, N)))
    return reshape(y, (*lead, *((M,) if a.ndim > 1 else ()), *((N,) if b.ndim > 1 else ())))


def _dense(activation: str | None) -> Primitive:
    """The op y = act(x @ w + bias), x (M, I), w (I, O): one per activation, since what its rule keeps depends on it."""
    @primitive(optional=("bias",), packs="w", name="dense")
    def dense_forward(be: Any, x: Any, w: Any, bias: Any, *, packed: dict | None) -> Any:
        y = be.empty((shape_of(x)[0], shape_of(w)[1]), dtype_of(x))
        be.run("dense", x, w, bias, y, ACTIVATIONS[activation], packed=packed)
        return y

    def rule(g: Tensor, x: Tensor, w: Tensor, wanted: tuple[str, ...], y: Tensor | None = None) -> dict[str, Tensor]:
        """With z = x @ w + bias: dz = g · act'(z), whose sum over the rows is the cotangent of the bias."""
        if recording() or (activation is None and "bias" not in wanted):
            dz = activation_slope(g, y, activation=activation)
            dbias = dz.sum(0) if "bias" in wanted else None
        else:
            dz, dbias = bias_backward(g, y, activation=activation)
        return {"x": _by_transposed(dz, w) if "x" in wanted else None, "w": _transposed_by(x, dz) if "w" in wanted else None, "bias": dbias}

    if activation is None:                                   # a rule keeps what it names: y only where there is an activation
        return dense_forward.joint_vjp(lambda g, x, w, wanted: rule(g, x, w, wanted))
    return dense_forward.joint_vjp(rule)


_dense_ops = {activation: _dense(activation) for activation in ACTIVATIONS}


def dense(x: Any, w: Any, bias: Any = None, *, activation: str | None = None) -> Tensor:
    """y = act(x @ w + bias): y[…, o] = act(bias[o] + Σᵢ x[…, i] · w[i, o]), a fully connected layer in one op.

    x (…, I), w (I, O), bias (O,) or None, `activation` None, 'relu' or 'tanh'; y (…, O). The widest floating dtype wins; integers become
    float32. ValueError names the shapes that do not fit together.
    """
    if bias is None:
        x, w = floating_tensors("dense", ("x", "w"), (x, w))
    else:
        x, w, bias = floating_tensors("dense", ("x", "w", "bias"), (x, w, bias))
    rows: Value = x
    weights: Value = w
    shift: Value = bias
    shape, sizes = shape_of(rows.data), shape_of(weights.data)
    if len(sizes) != 2:
        raise ValueError(f"dense: w must have two axes (inputs, outputs), got shape {sizes}")
    if not shape or shape[-1] != sizes[0]:
        raise ValueError(f"dense: w takes {sizes[0]} inputs, so x must end in an axis of {sizes[0]}. x is {shape}; w is {sizes}"
                         + (". w looks like PyTorch's (outputs, inputs): use w.T" if shape[-1:] == sizes[1:] else ""))
    if shift is not None and shape_of(shift.data) != sizes[1:]:
        raise ValueError(f"dense: bias must have shape {sizes[1:]}, one value per output, got {bias.shape}")
    op = _dense_ops[checked_activation("dense", activation)]
    if len(shape) == 2:
        return op(x, w, bias)
    return reshape(op(reshape(x, (math.prod(shape[:-1]), sizes[0])), w, bias), (*shape[:-1], sizes[1]))
