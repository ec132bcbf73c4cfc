"""The ops: one file per idea, each a forward pass and its derivative rules. Importing them attaches Tensor's operators."""
from . import (
    activation,
    adaptive,
    conv,
    create,
    device,
    dropout,
    einsum,
    elementwise,
    gather,
    im2col,
    join,
    loss,
    matmul,
    norm,
    operators,
    pool,
    power,
    random,
    reduce,
    shape,
    softmax,
    spread,
    windows,
)

__all__ = ["activation", "adaptive", "conv", "create", "device", "dropout", "einsum", "elementwise", "gather", "im2col", "join", "loss",
           "matmul", "norm", "operators", "pool", "power", "random", "reduce", "shape", "softmax", "spread", "windows"]
