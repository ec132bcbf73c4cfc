"""Matrix products: y[…, m, n] = Σₖ a[…, m, k] · b[…, k, n]."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.ops.shape import broadcast_to, expand_dims, reshape
from tinygradconv.promotion import as_tensors, result_dtype
from tinygradconv.tensor import Tensor


@primitive
def _matmul(be: Any, a: Any, b: Any, *, transpose_a: bool, transpose_b: bool) -> Any:
    """y = op(a) @ op(b), a (M, K) or (K, M), b (K, N) or (N, K); or a batch of such products, with one more axis in front."""
    M, N = a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1]
    y = be.empty((*a.shape[:-2], M, N), a.dtype)
    batch = (a, b, y) if a.ndim == 3 else (a[None], b[None], y[None])
    be.run("matmul", *batch, transpose_a, transpose_b)
    return y


def _grad_a(g: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool) -> Tensor:
    """y = AB: ∂a = g Bᵀ, and its transpose where a came transposed."""
    if transpose_a:
        return _matmul(b, g, transpose_a=transpose_b, transpose_b=True)
    return _matmul(g, b, transpose_a=False, transpose_b=not transpose_b)


def _grad_b(g: Tensor, a: Tensor, transpose_a: bool, transpose_b: bool) -> Tensor:
    """y = AB: ∂b = Aᵀ g, and its transpose where b came transposed."""
    if transpose_b:
        return _matmul(g, a, transpose_a=True, transpose_b=transpose_a)
    return _matmul(a, g, transpose_a=not transpose_a, transpose_b=False)


_matmul.vjp(a=_grad_a, b=_grad_b)
_matmul.name = "matmul"


def matmul(a: Any, b: Any) -> Tensor:
    """y[…, m, n] = Σₖ a[…, m, k] · b[…, k, n]; leading axes broadcast, and a vector is a row on the left, a column on the right."""
    a, b = as_tensors("matmul", ("a", "b"), (a, b))
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
        y = _matmul(reshape(left, (math.prod(lead) * M, K)), right, transpose_a=False, transpose_b=False)
    else:
        try:
            lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        except ValueError:
            raise ValueError(f"matmul: the leading axes of a {a.shape} and b {b.shape} do not broadcast") from None
        y = _matmul(reshape(broadcast_to(left, (*lead, M, K)), (math.prod(lead), M, K)),
                    reshape(broadcast_to(right, (*lead, K, N)), (math.prod(lead), K, N)), transpose_a=False, transpose_b=False)
    return reshape(y, (*lead, *((M,) if a.ndim > 1 else ()), *((N,) if b.ndim > 1 else ())))
