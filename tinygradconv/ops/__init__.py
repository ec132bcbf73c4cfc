"""The ops: one file per idea, each a forward pass and its derivative rules. Importing them attaches Tensor's operators."""
from . import activation, elementwise, gather, matmul, operators, power, reduce, shape

__all__ = ["activation", "elementwise", "gather", "matmul", "operators", "power", "reduce", "shape"]
