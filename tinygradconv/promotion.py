"""What happens when operands of different types meet.

    Python number ∘ tensor       the tensor's dtype; a Python float makes an integer tensor float32 (numbers are weak)
    integer or bool ∘ floating   the floating dtype
    float32 ∘ float64            float64
    integer ∘ integer            NumPy's rule
"""
from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tinygradconv.arrays import dtype_of
from tinygradconv.tensor import DEFAULT_DTYPE, Tensor, Value, as_array

NUMBERS = (bool, int, float)


def result_dtype(dtypes: Sequence[np.dtype]) -> np.dtype:
    """The dtype of an operation on arrays of these dtypes: floating wins over integer, then the wider."""
    first = dtypes[0]
    if all([dtype is first for dtype in dtypes]):
        return first
    floating = [dtype for dtype in dtypes if dtype.kind == "f"]
    return np.result_type(*(floating or dtypes))


def floating_result(*dtypes: np.dtype) -> np.dtype:
    """The dtype of an operation that leaves the integers: the widest floating one, and float32 where all are integers."""
    dtype = dtypes[0] if len(dtypes) == 1 else result_dtype(dtypes)
    return dtype if dtype.kind == "f" else DEFAULT_DTYPE


def as_tensors(op: str, names: Sequence[str], values: Sequence[Any], optional: Collection[str] = ()) -> Sequence[Any]:
    """Each value as a tensor: tensors as they are, arrays and numbers as constants, None for None where the input is `optional`.

    TypeError for a wrong number of inputs.
    """
    if len(values) != len(names):
        raise TypeError(f"{op} takes {len(names)} tensor{'s' if len(names) != 1 else ''} ({', '.join(names)}), got {len(values)}")
    for value in values:                                   # tensors pass as they are: most ops ask
        if type(value) is not Tensor:
            break
    else:
        return values
    return [value if type(value) is Tensor or (value is None and name in optional) else _constant(op, name, value)
            for name, value in zip(names, values)]


def floating_tensors(op: str, names: Sequence[str], values: Sequence[Any]) -> Sequence[Tensor]:
    """Each value as a tensor of one floating dtype: the widest among them, and float32 where all are integers."""
    tensors = promoted(op, as_tensors(op, names, values))
    first: Value = tensors[0]
    dtype = dtype_of(first.data)
    return tensors if dtype.kind == "f" else [tensor.astype(floating_result(dtype)) for tensor in tensors]


def as_tensor(op: str, name: str, value: Any) -> Tensor:
    """One value as a tensor: a tensor as it is, an array or a number as a constant."""
    return value if type(value) is Tensor else _constant(op, name, value)


def _constant(op: str, name: str, value: Any) -> Tensor:
    try:
        return Tensor.of(as_array(value))
    except (TypeError, ValueError) as problem:
        raise TypeError(f"{op}: {name} must be a tensor, an array or a number; got {type(value).__name__}: {problem}") from None


def promoted(op: str, values: Sequence[Any]) -> Sequence[Tensor]:
    """The operands of an elementwise op as tensors of one dtype."""
    dtype, numbers = None, False
    for value in values:                                   # this loop is on every op's way: tensors of one dtype pass as they are
        if type(value) is Tensor:
            tensor: Value = value
            if dtype is None:
                dtype = dtype_of(tensor.data)
            elif dtype_of(tensor.data) is not dtype:
                return _promoted(op, values)
        elif type(value) in NUMBERS:
            numbers = True
        else:
            return _promoted(op, values)
    if not numbers:
        return values
    if dtype is None or dtype.kind != "f":
        return _promoted(op, values)
    return [value if type(value) is Tensor else _number(op, value, dtype) for value in values]


def _promoted(op: str, values: Sequence[Any]) -> Sequence[Tensor]:
    """The table at the top of this file, for operands that differ."""
    values = [v if type(v) in NUMBERS or type(v) is Tensor else _constant(op, "an operand", v) for v in values]
    strong = [v.data.dtype for v in values if type(v) is Tensor]
    if not strong:
        values = [Tensor.of(as_array(v)) for v in values]
        strong = [v.data.dtype for v in values]
    dtype = strong[0] if len(strong) == 1 else result_dtype(strong)
    if dtype.kind != "f" and any(type(v) is float for v in values):
        dtype = DEFAULT_DTYPE
    elif dtype.kind == "b" and any(type(v) is int for v in values):
        dtype = np.dtype(np.int64)
    return [_number(op, v, dtype) if dtype.kind == "f" and type(v) in NUMBERS else _cast(op, v, dtype) for v in values]


_numbers: dict[Any, Tensor] = {}


def _number(op: str, value: Any, dtype: np.dtype) -> Tensor:
    """A number as a constant; the last few are remembered, as programs use the same ones again and again."""
    if value == 0 and type(value) is not int and math.copysign(1, value) < 0:       # −0.0, which is the same key as 0.0
        return _cast(op, value, dtype)
    key = type(value), value, dtype
    known = _numbers.get(key)
    if known is None:
        if len(_numbers) >= 256:
            _numbers.clear()
        known = _numbers[key] = _cast(op, value, dtype)
    return known


def number(value: Any, dtype: np.dtype) -> np.ndarray:
    """A number as an array with no axes, for a kernel to read."""
    tensor: Value = _number("number", value, dtype)
    return tensor.data


def _cast(op: str, value: Any, dtype: np.dtype) -> Tensor:
    if type(value) is Tensor:
        return value if value.data.dtype == dtype else value.astype(dtype)
    try:
        return Tensor.of(np.asarray(value, dtype))
    except OverflowError:
        raise ValueError(f"{op}: {value} does not fit into {dtype}") from None
