"""How a kernel is started: once it is known, three microseconds of the host's time at most.

A kernel's arguments lie in one buffer, eight bytes for each, whose addresses the driver is given; they never move, so a launch writes the
values (one call of `struct`) and calls the driver, which reads them before it returns. Numba's own launch takes 20 to 50 µs.
"""
from __future__ import annotations

import contextlib
import ctypes
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygradconv.backends.live import Cold, Live, recorder
from tinygradconv.kernels.cuda.language import CudaKernel
from tinygradconv.kernels.cuda.table import written

from .allocator import POISON, Allocator
from .array import CudaArray
from .errors import CudaError, explained
from .report import Compiled

SLOT = 8
MOST_NUMBERS = 256
CODES = {"int8": "b7x", "uint8": "B7x", "int16": "h6x", "uint16": "H6x", "int32": "i4x", "uint32": "I4x", "int64": "q", "uint64": "Q",
         "float32": "f4x", "float64": "d"}


class _Loaded:
    """A kernel on the GPU: the driver's function, and the buffer that its arguments are written into."""

    __slots__ = ("_buffer", "_slots", "addresses", "function", "lock", "pack", "pointers", "shared", "threads")

    def __init__(self, kernel: CudaKernel, function: Any) -> None:
        kinds = [kind for _, kind in kernel.parameters]
        self.function, self.threads, self.shared = function, kernel.threads, kernel.shared
        self.pointers = tuple((place, np.dtype(kind[:-1])) for place, kind in enumerate(kinds) if kind.endswith("*"))
        self.lock = threading.Lock()
        self._buffer = ctypes.create_string_buffer(SLOT * max(len(kinds), 1))
        start = ctypes.addressof(self._buffer)
        self._slots = (ctypes.c_void_p * len(kinds))(*range(start, start + SLOT * len(kinds), SLOT))
        self.addresses = ctypes.addressof(self._slots)
        layout = struct.Struct("=" + "".join("Q" if kind.endswith("*") else CODES[kind] for kind in kinds))
        self.pack = partial(layout.pack_into, self._buffer, 0)


class Launcher:
    """What the host functions in kernels/<idea>/cuda.py call `device`: it launches kernels, and makes arrays for scratch.

    `compiled(kernel, architecture)` gives the machine code of a kernel that is met for the first time; where `blocking()` says so, each
    launch waits for its kernel, so that what goes wrong is said with its name and shapes; where `poisoned()` says so, fresh arrays are NaN.
    `precision()` is that of matrix products and convolutions: "fp32", "tf32" or "bf16".
    """

    def __init__(self, driver: Any, allocator: Allocator, compiled: Callable[[CudaKernel, str], Compiled],
                 blocking: Callable[[], bool] = lambda: False, poisoned: Callable[[], bool] = lambda: False,
                 precision: Callable[[], str] = lambda: "fp32") -> None:
        self._driver, self._allocator, self._compiled, self._blocking = driver, allocator, compiled, blocking
        self._poisoned, self._precision = poisoned, precision
        self.multiprocessors: int = driver.multiprocessors
        self.launches = 0
        self._kernels: dict[CudaKernel, _Loaded] = {}
        self._numbers: dict[tuple[bytes, str], CudaArray] = {}

    def empty(self, shape: tuple[int, ...], dtype: Any) -> CudaArray:
        """An array to be filled."""
        kind, elements = np.dtype(dtype), 1
        for length in shape:
            if length < 0:
                raise ValueError(f"empty: every axis must be at least 0, got shape {shape}")
            elements *= length
        made = CudaArray(self._allocator.take(elements * kind.itemsize), shape, kind)
        if self._poisoned():
            self._driver.fill(made.pointer, POISON, made.nbytes)
        return made

    @property
    def architecture(self) -> str:
        """The GPU's, "sm_90": some kernels are for one alone."""
        return self._driver.architecture

    @property
    def precision(self) -> str:
        """What matrix products and convolutions round their operands to, here and now."""
        return self._precision()

    def number(self, value: Any, dtype: Any) -> CudaArray:
        """One number as an array of shape (1,), of a dtype of four or eight bytes, for kernels to read; it may be shared.

        While a step is recorded (graph.py), a Live number is where its value is put before each replay.
        """
        if type(value) is Live:
            return value.place(dtype)
        data = np.array([value], dtype)
        key = data.tobytes(), data.dtype.str
        known = self._numbers.get(key)
        if known is None:
            known = self.empty((1,), data.dtype)
            for i, word in enumerate(data.view(np.uint32)):
                self._driver.fill_words(known.pointer + 4 * i, int(word), 1)
            if not recorder:                                    # what is recorded is not yet done
                if len(self._numbers) >= MOST_NUMBERS:
                    self._numbers.clear()
                self._numbers[key] = known
        return known

    def table(self, numbers: Sequence[int]) -> CudaArray:
        """Whole numbers as an int64 array, for kernels to look up; of a step that is recorded, put there once for all replays."""
        return recorder[0].table(np.array(numbers, np.int64)) if recorder else written(self, numbers)

    @contextlib.contextmanager
    def allocating(self, pool: Allocator) -> Iterator[None]:
        """Within the block arrays come from another pool."""
        before, self._allocator = self._allocator, pool
        try:
            yield
        finally:
            self._allocator = before

    def launch(self, kernel: CudaKernel, grid: int | tuple[int, ...], *arguments: Any, reaches: Sequence[CudaArray] = ()) -> None:
        """Start a kernel on `grid` blocks (up to three axes): an array, or None, for each pointer, a number for each scalar.

        `reaches` are arrays whose addresses the kernel finds in a `table`, beside those that are its arguments.
        Nothing is started where an axis of the grid is 0. TypeError says which argument is not what the kernel takes.
        """
        if recorder:
            recorder[0].note((*arguments, *reaches))
        loaded = self._kernels.get(kernel) or self._load(kernel)
        blocks: Any = (grid, 1, 1) if type(grid) is int else grid if len(grid) == 3 else (*grid, 1, 1)[:3]
        if 0 in blocks:
            return
        values = list(arguments)
        try:
            for place, dtype in loaded.pointers:
                array = values[place]
                if array is None:
                    values[place] = 0
                    continue
                if array.dtype is not dtype:
                    raise AttributeError
                values[place] = array.pointer
        except (AttributeError, IndexError):                   # no CudaArray of just this dtype
            values = _fitted(kernel, arguments)
        try:
            with loaded.lock:
                loaded.pack(*values)
                self._driver.launch(loaded.function, blocks, loaded.threads, loaded.shared, loaded.addresses)
            self.launches += 1
            if self._blocking():
                self._driver.synchronize()
        except struct.error as problem:
            _fitted(kernel, arguments)
            raise TypeError(f"{_call(kernel, blocks, arguments)}: {problem}; it takes {_signature(kernel)}") from None
        except CudaError as problem:
            raise explained(_call(kernel, blocks, arguments), problem, self._blocking()) from problem

    def _load(self, kernel: CudaKernel) -> _Loaded:
        """Compile, or find, a kernel's machine code for this GPU, and put it there."""
        if recorder:                                           # to load one may wait for the GPU, which a stream that records may not
            raise Cold(kernel.label)
        machine_code = self._compiled(kernel, kernel.only or self._driver.architecture)
        function = self._driver.load(machine_code.cubin, machine_code.entry, kernel.shared)
        return self._kernels.setdefault(kernel, _Loaded(kernel, function))


def _fitted(kernel: CudaKernel, arguments: tuple[Any, ...]) -> list[Any]:
    """The values of arguments that are not all numbers, and arrays of the kernel's dtypes: None is address 0, a bool is a byte."""
    if len(arguments) != len(kernel.parameters):
        raise TypeError(f"{kernel.label} takes {len(kernel.parameters)} arguments ({_signature(kernel)}), got {len(arguments)}")
    return [_pointer(kernel, name, kind[:-1], argument) if kind.endswith("*") else argument
            for (name, kind), argument in zip(kernel.parameters, arguments)]


def _pointer(kernel: CudaKernel, name: str, wanted: str, argument: Any) -> int:
    if argument is None:
        return 0
    if isinstance(argument, CudaArray) and (argument.dtype == wanted or (argument.dtype == np.bool_ and wanted == "uint8")):
        return argument.pointer
    got = f"a CudaArray of {argument.dtype}" if isinstance(argument, CudaArray) else type(argument).__name__
    raise TypeError(f"{kernel.label}: {name} must be a CudaArray of {wanted} or None, got {got}")


def _signature(kernel: CudaKernel) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in kernel.parameters)


def _call(kernel: CudaKernel, blocks: tuple[int, ...], arguments: tuple[Any, ...]) -> str:
    """A launch in words: "axpy[T=float32] on (4, 1, 1) blocks of 256 threads with a=2.0, x float32 (1000,), n=1000"."""
    said = (f"{name} {value.dtype} {value.shape}" if isinstance(value, CudaArray) else f"{name}={value!r}"
            for (name, _), value in zip(kernel.parameters, arguments))
    return f"{kernel.label} on {blocks} blocks of {kernel.threads} threads with {', '.join(said)}"


__all__ = ["Launcher"]
