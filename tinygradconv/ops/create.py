"""Tensors from nothing: constants, ranges, the identity. Floating unless told otherwise: float32."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.backends import filled
from tinygradconv.geometry import described, integer, real
from tinygradconv.ops.shape import as_shape
from tinygradconv.promotion import as_tensor
from tinygradconv.tensor import DEFAULT_DTYPE, Tensor, as_array


def _dtype(name: str, dtype: Any) -> np.dtype:
    try:
        found = np.dtype(dtype)
        as_array(np.zeros((), found))                        # what no tensor holds is refused before there is an array of it
        return found
    except TypeError as problem:
        if "a Tensor holds" in str(problem):
            raise
        raise TypeError(f"{name}: {dtype!r} is no dtype. Use 'float32', 'float64', 'int64', 'bool', …") from None


def _made(values: np.ndarray, dtype: Any) -> Tensor:
    return Tensor.of(as_array(values if dtype is None else values.astype(dtype)))


def asarray(values: Any, dtype: Any = None) -> Tensor:
    """`values` as a tensor: itself where it is one of that dtype, else a copy."""
    if isinstance(values, Tensor):
        return values if dtype is None else values.astype(dtype)
    return Tensor(values, dtype)


def from_dlpack(x: Any) -> Tensor:
    """A tensor over the memory of another library's array, on the CPU or the GPU, by DLPack or the CUDA array interface: no copy.

    It is for values that nobody changes any more, as the tape would not learn of it. On the GPU our stream waits for the other library's.
    An array that lies anyhow is copied there. TypeError: a dtype that no tensor holds, or no array.
    """
    if isinstance(x, Tensor):
        return x.detach()
    if not hasattr(x, "__dlpack__") and not hasattr(x, "__cuda_array_interface__"):
        raise TypeError(f"from_dlpack: x must be an array with __dlpack__ or __cuda_array_interface__, got {type(x).__name__}. "
                        f"Use Tensor(x), which copies")
    return Tensor.of(as_array(x))


def full(shape: int | tuple[int, ...], value: float, dtype: Any = None) -> Tensor:
    """A tensor of `shape` whose values are all `value`; a float gives float32, an integer int64, a bool bool."""
    if not isinstance(value, (bool, int, float, np.number, np.bool_)):
        raise TypeError(f"full: value must be a number, got {described(value)}")
    chosen = DEFAULT_DTYPE if isinstance(value, float) else np.asarray(value).dtype
    chosen = chosen if dtype is None else _dtype("full", dtype)
    if chosen.kind in "iu" and not (np.iinfo(chosen).min <= value <= np.iinfo(chosen).max and value == int(value)):
        raise ValueError(f"full: {value!r} does not fit into {chosen}")
    return _made(np.full(as_shape("full", shape), value, chosen), None)


def zeros(shape: int | tuple[int, ...], dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """A tensor of zeros."""
    return _made(np.zeros(as_shape("zeros", shape), _dtype("zeros", dtype)), None)


def ones(shape: int | tuple[int, ...], dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """A tensor of ones."""
    return _made(np.ones(as_shape("ones", shape), _dtype("ones", dtype)), None)


def full_like(x: Any, value: float) -> Tensor:
    """A constant tensor with the shape and dtype of x, on its device."""
    x = as_tensor("full_like", "x", x)
    full((), value, x.dtype)                                   # the errors
    return Tensor.of(filled(x.data, value))


def zeros_like(x: Any) -> Tensor:
    """Zeros with the shape and dtype of x, on its device."""
    return full_like(x, 0)


def ones_like(x: Any) -> Tensor:
    """Ones with the shape and dtype of x, on its device."""
    return full_like(x, 1)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """start, start + step, … before stop (one argument: 0, 1, … before it); integers give int64, floats float32."""
    for said, number in (("start", start), ("stop", stop), ("step", step)):
        if (number is not None or said != "stop") and not isinstance(number, (int, np.integer)):
            real(said, number, where="arange")
    if step == 0:
        raise ValueError("arange: step must not be 0")
    values = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    return _made(values.astype(DEFAULT_DTYPE) if values.dtype.kind == "f" else values.astype(np.int64), dtype)


def linspace(start: float, stop: float, number: int, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """`number` values from start to stop, both included, at equal distances."""
    number = integer("number", number, at_least=0, where="linspace")
    return _made(np.linspace(real("start", start, where="linspace"), real("stop", stop, where="linspace"), number), dtype)


def eye(rows: int, columns: int | None = None, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """Ones on the diagonal, zeros elsewhere: (rows, columns), square by default."""
    rows = integer("rows", rows, at_least=0, where="eye")
    return _made(np.eye(rows, rows if columns is None else integer("columns", columns, at_least=0, where="eye")), dtype)
