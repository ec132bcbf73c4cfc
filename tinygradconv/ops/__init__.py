"""The ops: one file per idea, each a forward pass and its derivative rules. Importing them attaches Tensor's operators."""
from . import activation, einsum, elementwise, gather, join, matmul, operators, power, reduce, shape, softmax, spread

__all__ = ["activation", "einsum", "elementwise", "gather", "join", "matmul", "operators", "power", "reduce", "shape", "softmax", "spread"]
