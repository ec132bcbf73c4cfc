"""The CUDA back end without a GPU: its own classes over the stub of the driver, with memory of the host in which kernels really compute.

    EmulatedBackend   every launch is emulated (kernels/cuda/emulator): the host functions and kernels of kernels/<idea>/cuda.py. Slow
    DefinedBackend    every kernel of the manifest is its NumPy definition: fast, so that whole networks can be run for what the engine does

As on a GPU nothing is computed before somebody waits for it, memory is used again in the order of the stream, and fresh memory is NaN.
"""
from __future__ import annotations

import ctypes
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from tinygradconv.kernels import KERNELS

from tinygradconv.backends.cuda.array import CudaArray
from tinygradconv.backends.cuda.backend import CUDABackend
from tinygradconv.backends.cuda.launch import Launcher
from tinygradconv.backends.live import Live, recorder
from tinygradconv.backends.reference import reference_kernel, reference_workspace

from .stub import StubDriver

ALIGNMENT = 256                            # of what the driver allocates


class HostMemory(StubDriver):
    """The stub, with memory as the driver gives it, aligned and full of what was there before, and with streams that have numbers.

    Whichever stream is asked for is there: another library's, too.
    """

    multiprocessors = 2                    # few, so that kernels whose blocks go round have more than one round of work
    compute, copies = 51, 52

    def __init__(self) -> None:
        super().__init__()
        self.streams = defaultdict(deque, self.streams)

    def _hold(self, nbytes: int) -> int:
        room = ctypes.create_string_buffer(b"\xff" * nbytes, nbytes + ALIGNMENT)
        start = ctypes.addressof(room) + -ctypes.addressof(room) % ALIGNMENT
        ctypes.memset(start, 0xFF, nbytes)
        buffer = (ctypes.c_char * nbytes).from_address(start)
        buffer.room = room
        self.held[start] = buffer
        return start


def at(array: CudaArray) -> Callable[[], np.ndarray]:
    """What makes a NumPy array of the memory of this one; it keeps no block alive, as a launch does not."""
    pointer, shape, dtype, strides = array.pointer, array.shape, array.dtype, array.strides
    return lambda: as_strided(np.ndarray((1,), dtype, (ctypes.c_char * dtype.itemsize).from_address(pointer)), shape, strides)


def later(arguments: tuple[Any, ...]) -> Callable[[], list[Any]]:
    """The arguments of a kernel, when it comes to run: arrays, and tuples of them, as NumPy's."""
    def one(argument: Any) -> Callable[[], Any]:
        if isinstance(argument, CudaArray):
            return at(argument)
        if type(argument) is Live:                                       # of a step that is recorded: read when a replay gets here
            placed = at(argument.place("int64" if "step" in argument.name or "call" in argument.name else "float64"))
            return lambda: placed().item()
        if isinstance(argument, tuple):
            parts = [one(part) for part in argument]
            return lambda: tuple([part() for part in parts])
        return lambda: argument
    made = [one(argument) for argument in arguments]
    return lambda: [argument() for argument in made]


class EmulatedLauncher(Launcher):
    """A launcher whose launches are emulated, once somebody waits for them."""

    def launch(self, kernel: Any, grid: Any, *arguments: Any, reaches: Any = ()) -> None:
        """Emulate a kernel."""
        from tinygradconv.kernels.cuda.emulator import emulate
        if 0 in (grid if isinstance(grid, tuple) else (grid,)):
            return
        ready, reached = later(arguments), later(tuple(reaches))
        self._driver.streams[self._driver.compute].append(lambda: emulate(kernel, grid, *ready(), reaches=reached()))
        self.launches += 1
        if recorder:
            recorder[0].note((*arguments, *reaches))
        if self._blocking():
            self._driver.synchronize()


class EmulatedBackend(CUDABackend):
    """Kernels of kernels/<idea>/cuda.py, emulated."""

    def __init__(self, driver: Any = None) -> None:
        super().__init__(HostMemory() if driver is None else driver)
        real = self.device
        self.device = EmulatedLauncher(self.driver, self.allocator, real._compiled, real._blocking, real._poisoned, real._precision)
        self.empty = self.device.empty


class DefinedBackend(CUDABackend):
    """Kernels that are their NumPy definitions; `ran` are the names of those that were asked for."""

    def __init__(self) -> None:
        super().__init__(HostMemory())
        self.ran: list[str] = []

    def host_function(self, name: str) -> Callable[..., None]:
        """The reference kernel, as a host function."""
        row, function = KERNELS[name], reference_kernel(name)

        def run(device: Any, *arguments: Any, moments: Any = None) -> None:
            self.ran.append(name)
            for argument in arguments:
                for one in argument if isinstance(argument, tuple) else (argument,):
                    assert not isinstance(one, np.ndarray), f"{name} was handed an array of the host"
            if "workspace" in row.arguments:
                place = row.arguments.index("workspace")
                scratch = np.empty(reference_workspace(name)(arguments[-1], arguments[0].itemsize), np.uint8)
                arguments = (*arguments[:place], scratch, *arguments[place + 1:])
            ready = later(arguments)

            def compute() -> None:
                with np.errstate(all="ignore"):
                    function(*ready())
            self.driver.streams[self.driver.compute].append(compute)
        return run
