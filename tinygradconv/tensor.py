"""Tensor: an array, and the node that made it.

This file holds what a tensor *is*: values, where they live, where they came from. What one can do with tensors is in
`ops/`, which attaches operators and methods here, so that nothing below has to import upward.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygradconv.arrays import address_of, shape_of
from tinygradconv.backends import backend_named, backend_of, is_on_gpu
from tinygradconv.geometry import described

DEFAULT_DTYPE = np.dtype(np.float32)
KINDS = "biuf"                 # bool, signed, unsigned, floating


class Storage:
    """What several views of the same memory share: a version, raised by every change in place."""

    __slots__ = ("_packed", "_packed_at", "version")

    def __init__(self) -> None:
        self.version = 0
        self._packed = None

    def packed(self, view: Any) -> dict[Any, Any]:
        """A dict in which kernels keep their own layouts of one view of this memory, empty again once the version has moved."""
        if self._packed is None or self._packed_at != self.version:
            self._packed, self._packed_at = {}, self.version
        return self._packed.setdefault((address_of(view), shape_of(view), view.strides), {})


def as_array(values: Any, dtype: Any = None, *, copy: bool = False) -> np.ndarray:
    """`values` as a NumPy array that a tensor may hold: bool, integer, float32 or float64.

    Python floats become float32, tinygradconv's default; an array, NumPy's or one that speaks DLPack, keeps its dtype.
    float16, complex, object and text raise a TypeError. What is on the GPU stays there.
    """
    if isinstance(values, Tensor):
        values = values.data
    if is_on_gpu(values):
        return backend_named("cuda").taken(values, None if dtype is None else dtype_named(dtype), copy=copy)
    if type(values) is not np.ndarray and hasattr(values, "filled"):
        raise TypeError("a Tensor has no mask, and this is a masked array. Say what the masked values are: x.filled(0)")
    if not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__"):
        values = _from_another_library(values)
    try:
        array = np.array(values, dtype, copy=True if copy else None, order="C") if dtype is not None or copy else np.asarray(values)
    except (ValueError, TypeError, OverflowError) as problem:
        raise _not_an_array(dtype, problem) from None
    if array.dtype.kind not in KINDS or array.dtype.itemsize > 8 or array.dtype == np.float16:
        cure = {"f": ". Convert it first: x.astype('float32')", "c": ". Take its parts: x.real, x.imag",
                "O": " (None, integers beyond 64 bits, or other Python objects)"}
        raise TypeError(f"a Tensor holds bool, integers, float32 or float64; got {array.dtype}{cure.get(array.dtype.kind, '')}")
    if dtype is None and array.dtype == np.float64 and not hasattr(values, "__array__"):
        array = array.astype(DEFAULT_DTYPE)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def dtype_named(dtype: Any) -> np.dtype:
    """The dtype that this means; TypeError for one that a tensor does not hold."""
    return as_array(0, dtype).dtype


def _from_another_library(values: Any) -> np.ndarray:
    """The array behind a tensor of torch, JAX, …, by DLPack: shared, not copied."""
    try:
        return np.from_dlpack(values)
    except (BufferError, RuntimeError, TypeError, ValueError) as problem:
        raise TypeError(f"a {type(values).__module__} {type(values).__name__} cannot be read: {problem}") from None


def _not_an_array(dtype: Any, problem: Exception) -> Exception:
    """What NumPy's refusal to make an array of some values means."""
    try:
        np.dtype(dtype)
    except TypeError:
        return TypeError(f"{dtype!r} is no dtype. Use 'float32', 'float64', 'int64', 'bool', …")
    if "inhomogeneous" in str(problem):
        return ValueError(f"the rows of a Tensor must be equally long: {str(problem).partition('. ')[2]}")
    if isinstance(problem, OverflowError):
        return ValueError(f"a value does not fit into {np.dtype(dtype)}: {problem}")
    return problem


def tensor_of(data: Any, node: Any = None, storage: Storage | None = None) -> Tensor:
    """Tensor.of, for the engine."""
    kind: type = Tensor                # compiled, what is known to be a type is asked for a new object with no detour through Python
    made: Value = kind.__new__(kind)
    made.data = data
    made.node = node
    made._storage = storage
    return made


class Value:
    """What ops take and give: an array, the node of the call that made it (None for a constant), and the storage that it shares."""

    __slots__ = ("_storage", "data", "node")

    def stored(self) -> Storage:
        """The storage; made when it is first asked for, as most results are read once and never looked at again."""
        if self._storage is None:
            self._storage = Storage()
        return self._storage

    @property
    def storage(self) -> Storage:
        """What all views of the same memory share."""
        return self.stored()

    @storage.setter
    def storage(self, shared: Storage) -> None:
        self._storage = shared


class Tensor(Value):
    """Tensor(values, dtype=None, requires_grad=False): n-dimensional values with a memory of how they were computed.

    `values` (numbers, nested lists, an array) are copied; Python floats become float32, arrays keep their dtype (bool,
    integers, float32, float64). With `requires_grad=True` (floating dtypes only) everything computed from the tensor is recorded, and
    `backward()` on a result fills `.grad`.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 4.0]
    """

    __slots__ = ("__weakref__",)
    __array_ufunc__ = None             # so that array * tensor asks the tensor
    __hash__ = object.__hash__         # == compares values; a tensor is still a key by identity

    def __init__(self, values: Any, dtype: Any = None, *, requires_grad: bool = False) -> None:
        self.data = as_array(values, dtype, copy=True)
        self.node = None
        self.storage = Storage()
        if requires_grad:
            self.requires_grad_()

    # What it is.
    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of values."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        """The type of the values."""
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        """The bytes that the values take."""
        return self.data.nbytes

    @property
    def device(self) -> str:
        """Where the values live."""
        return backend_of(self.data).name

    @property
    def version(self) -> int:
        """How often the memory behind this tensor, or any view of it, has been changed in place."""
        return self.storage.version

    # Where it came from.
    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from this tensor is recorded."""
        return self.node is not None

    def requires_grad_(self) -> Tensor:
        """Record what is computed from this tensor from now on; returns the tensor."""
        if self.dtype.kind != "f":
            raise TypeError(f"only floating tensors have gradients; this one is {self.dtype}. Use x.astype('float32')")
        if self.node is None:
            self.node = Tensor._leaf(self)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward()` has added up here, for a tensor made with requires_grad=True; set it to None to start anew."""
        return None if self.node is None else self.node.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if self.node is None:
            raise TypeError("this tensor has no gradient: it was not made with requires_grad=True")
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape or value.dtype != self.dtype):
            got = f"{value.dtype} {value.shape}" if isinstance(value, Tensor) else described(value)
            raise TypeError(f"grad must be None or a tensor like this one, {self.dtype} {self.shape}; got {got}")
        self.node.grad = value

    @classmethod
    def of(cls, data: Any, node: Any = None, storage: Storage | None = None) -> Tensor:
        """A tensor around an array that nobody else will write to: no copy. For op authors."""
        return tensor_of(data, node, storage)

    def detach(self) -> Tensor:
        """The same values (shared, not copied) with no memory of where they came from."""
        return Tensor.of(self.data, None, self.storage)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call `hook(gradient)` when the gradient of this tensor is complete; what it returns, if anything, replaces the gradient.

        Returns a function that removes the hook.
        """
        if self.node is None:
            raise TypeError("register_hook: this tensor is a constant; only tensors that require a gradient have hooks")
        if not callable(hook):
            raise TypeError(f"register_hook: hook must be a function of the gradient, got {hook!r}")
        if self.node.hooks is None:
            self.node.hooks = []
        hooks = self.node.hooks
        hooks.append(hook)
        return lambda: hooks.remove(hook) if hook in hooks else None

    # What it holds.
    def numpy(self) -> np.ndarray:
        """The values as a read-only NumPy array: a view on the CPU, no copy; a copy from the GPU, once it has computed them."""
        view = backend_of(self.data).to_numpy(self.data).view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The one value as a Python number; ValueError where there is not exactly one."""
        if self.size != 1:
            raise ValueError(f"item() needs exactly one value; this tensor has shape {self.shape}, which is {self.size} values")
        return self.numpy().item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.device == "cuda":
            raise TypeError(f"this tensor, of shape {self.shape}, is on the GPU, where NumPy cannot read it. Use x.numpy(), which copies")
        return np.array(self.numpy(), dtype, copy=copy) if copy or (dtype is not None and dtype != self.dtype) else self.numpy()

    def __dlpack__(self, **options: Any) -> Any:
        """The values for another library (torch, JAX, NumPy): shared, but a copy where memory is read backwards (torch would abort)."""
        data = self.data
        if min(data.strides, default=0) < 0:
            if options.get("copy") is False:
                raise BufferError("this tensor reads its memory backwards (flip, x[::-1]) and cannot be shared. Copy it")
            data = data.copy()
        return data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The memory on the GPU for another library (CuPy, Numba, torch): shared; an AttributeError on the CPU."""
        return self.data.__cuda_array_interface__

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("a tensor with no axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        for i in range(len(self)):
            yield self[i]

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth of a tensor with {self.size} values is ambiguous; use (…).all() or (…).any()")
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            raise TypeError(f"only an integer tensor with no axes is an index; got {self.dtype} of shape {self.shape}")
        return int(self.item())

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("Tensor does not support x[...] = value, which would change values that the tape has kept; "
                        "use where(), concat() or scatter_add()")

    def __repr__(self) -> str:
        if self.device == "abstract":
            return f"Tensor(shape={self.shape}, dtype={self.dtype}, abstract)"
        values = np.array2string(self.numpy(), precision=4, separator=", ", prefix="Tensor(", threshold=100)
        dtype = "" if self.dtype in (DEFAULT_DTYPE, np.int64, np.bool_) else f", dtype={self.dtype}"
        dtype += ", device='cuda'" if self.device == "cuda" else ""
        made = "" if self.node is None else ", requires_grad=True" if self.node.op is None else f", made by {self.node.op.name}"
        return f"Tensor({values}{dtype}{made})"

    @staticmethod
    def _leaf(tensor: Tensor) -> Any:
        raise NotImplementedError("autodiff attaches the making of leaf nodes")
