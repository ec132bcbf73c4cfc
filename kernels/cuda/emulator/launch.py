"""emulate(): a kernel on a grid of blocks; and a device whose launches are emulated, for the host functions of kernels/<idea>/cuda.py."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..language import SCALARS, CudaKernel
from .meaning import emulated
from .memory import global_pointer
from .order import Order
from .threads import Block
from .watch import Watch
from .words import TOGETHER, CudaWords, Position, PtxWords


class Launch:
    """One launch: its kernel and grid, the thread that is running, and the order of accesses to global memory."""

    def __init__(self, kernel: CudaKernel, grid: Position, reaches: Sequence[np.ndarray], watch: Watch | None) -> None:
        self.kernel, self.grid, self.watch = kernel, grid, watch
        self.reached = {array.ctypes.data: array for array in reaches}
        self.together = TOGETHER
        self.order = Order("global memory", initialised=True)
        self.thread: Any = None
        self.cuda, self.ptx = CudaWords(self), PtxWords(self)

    def argument(self, name: str, kind: str, value: Any) -> Any:
        """One argument as the kernel sees it; TypeError if it is of another type than the signature says."""
        if not kind.endswith("*"):
            return SCALARS[kind](value)
        if value is None:                                      # address 0: for what the kernel does not touch this time
            value = np.empty(0, SCALARS[kind[:-1]].dtype)
        if not isinstance(value, np.ndarray):
            raise TypeError(f"emulate: {self.kernel.name} takes a pointer {name}: {kind}, so an array, got {type(value).__name__}")
        array = value.view(np.uint8) if value.dtype == np.bool_ else value
        if array.dtype != SCALARS[kind[:-1]].dtype:
            raise TypeError(f"emulate: {self.kernel.name} takes {name}: {kind}, got an array of {value.dtype}")
        return global_pointer(self, name, array)

    def run(self, arguments: list[Any]) -> None:
        """All blocks, one after another."""
        function = emulated(self.kernel.function, self)
        for z in range(self.grid.z):
            for y in range(self.grid.y):
                for x in range(self.grid.x):
                    Block(self, Position(x, y, z), lambda: function(*arguments)).run()


def emulate(kernel: CudaKernel, grid: int | tuple[int, ...], *arguments: Any, reaches: Sequence[np.ndarray] = (),
            watch: Watch | None = None) -> None:
    """Run a kernel on a grid of (x, y, z) blocks here, in Python, checking all that it does.

    kernel     a CudaKernel
    grid       blocks along x, or along x, y and z
    arguments  one for each of its parameters: NumPy arrays of the very type for pointers (bool for uint8), or None, and numbers for numbers
    reaches    arrays that the kernel makes pointers to, of addresses that it reads from memory
    watch      a thread to be printed step by step

    A pointer is to its array's first element, and reaches from the lowest to the highest element of a strided array. KernelFault says what
    is wrong with the kernel; TypeError, with the call.
    """
    if not isinstance(kernel, CudaKernel):
        raise TypeError(f"emulate: kernel must be a CudaKernel (made by @kernel), got {type(kernel).__name__}. "
                        f"Call a template with its constants first")
    if len(arguments) != len(kernel.parameters):
        raise TypeError(f"emulate: {kernel.name} takes {', '.join(name for name, _ in kernel.parameters)}; got {len(arguments)} arguments")
    launch = Launch(kernel, Position(*(*((grid,) if isinstance(grid, int) else grid), 1, 1)[:3]), reaches, watch)
    launch.run([launch.argument(name, kind, value) for (name, kind), value in zip(kernel.parameters, arguments)])


class EmulatedDevice:
    """What a host function takes as its device, with NumPy arrays for arrays: every launch is emulated, at once.

    precision     of float32 products: "fp32", "tf32" or "bf16"
    architecture  the GPU that it is like: kernels for one GPU alone are chosen by it
    """

    multiprocessors = 2

    def __init__(self, precision: str = "fp32", architecture: str = "sm_80") -> None:
        self.precision, self.architecture = precision, architecture

    def launch(self, kernel: CudaKernel, grid: int | tuple[int, ...], *arguments: Any, reaches: Sequence[np.ndarray] = ()) -> None:
        """Emulate a kernel."""
        emulate(kernel, grid, *arguments, reaches=reaches)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array to be filled: of NaN, or of bytes 0x7F, so that what is not filled is seen."""
        array = np.empty(shape, dtype)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        else:
            array.view(np.uint8).fill(0x7F)
        return array

    def table(self, numbers: Sequence[int]) -> np.ndarray:
        """Whole numbers as an int64 array, for kernels to look up."""
        return np.array(numbers, np.int64)

    def number(self, value: Any, dtype: Any) -> np.ndarray:
        """One number as an array of shape (1,), for a kernel to read."""
        return np.array([value], dtype)
