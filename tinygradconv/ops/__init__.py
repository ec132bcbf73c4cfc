"""The ops: one file per idea, each a forward pass and its derivative rules. Importing them attaches Tensor's operators."""
from . import elementwise, gather, matmul, reduce, shape

__all__ = ["elementwise", "gather", "matmul", "reduce", "shape"]
