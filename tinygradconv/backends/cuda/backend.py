"""The CUDA back end: arrays and kernels of one GPU, for the ops.

A kernel is the function of its name in kernels/<folder>/cuda.py, which launches what it needs on the device that it is handed. One that
has no such function is refused by name: nothing is computed on the host in its place. Everything runs on one stream, in the order in which
it was asked for, and the host goes on meanwhile; `to_numpy` and `synchronize` wait.
"""
from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygradconv.arrays import repeated
from tinygradconv.backends.live import recorder, refuse
from tinygradconv.kernels import KERNELS
from tinygradconv.settings import get as setting

from .allocator import Allocator
from .array import CudaArray, CudaView
from .errors import CudaError, explained
from .interop import borrowed
from .launch import Launcher
from .report import Compiled
from .transfer import Later, Transfers

MOST_CONSTANTS, LARGEST_CONSTANT = 1024, 1 << 16        # of those that are remembered: how many, and how many bytes each


def compiled_or_cached(kernel: Any, architecture: str) -> Compiled:
    """A kernel's machine code, from the disk where it is known."""
    from .cache import cached
    from .compiler import compile
    return cached(compile, kernel, architecture)


class CUDABackend:
    """One GPU: `driver`, its memory (`allocator`), the way there and back (`transfers`), and what host functions launch on (`device`)."""

    name = "cuda"

    def __init__(self, driver: Any, compiled: Callable[[Any, str], Compiled] = compiled_or_cached) -> None:
        self.driver, self.allocator, self.transfers = driver, Allocator(driver), Transfers(driver)
        self.device = Launcher(driver, self.allocator, compiled, partial(setting, "launch_blocking"), partial(setting, "poison"),
                               partial(setting, "precision"))
        self.empty = self.device.empty                 # an array to be filled
        self._functions: dict[str, Callable[..., None]] = {}
        self._constants: dict[tuple[Any, ...], CudaArray] = {}

    # Kernels.
    repeated = staticmethod(repeated)

    def like(self, array: CudaArray) -> CudaArray:
        """An array to be filled, of this shape and dtype."""
        return self.empty(array.shape, array.dtype)

    def run(self, kernel: str, *arguments: Any, packed: dict[Any, Any] | None = None, algorithm: str | None = None,
            moments: dict[int, Any] | None = None) -> None:
        """Start one kernel of the manifest; NotImplementedError where it has no CUDA form.

        `algorithm` is the kernel that computes it in the place of the one named. Nothing is packed here, so `packed` is left alone.
        `moments` is where a convolution leaves, and a batch norm finds, sums of the convolution's result (kernels/conv/moments.py).
        """
        if recorder:
            recorder[0].note(arguments)
        name = kernel if algorithm is None else algorithm
        function = self._functions.get(name) or self._find(name)
        if moments is None:
            function(self.device, *arguments)
        else:
            function(self.device, *arguments, moments=moments)

    def _find(self, name: str) -> Callable[..., None]:
        """What `run` calls for a kernel: its host function, with None for the scratch that it sizes itself."""
        row, host = KERNELS[name], self.host_function(name)
        at = row.arguments.index("workspace") if "workspace" in row.arguments else None

        def run(device: Any, *arguments: Any, **more: Any) -> None:
            if not row.strided and any([type(argument) is CudaView for argument in arguments]):
                raise TypeError(f"{name} takes whole arrays on the GPU, and one of its arguments is a view")
            host(device, *arguments, **more) if at is None else host(device, *arguments[:at], None, *arguments[at:], **more)
        self._functions[name] = run
        return run

    def host_function(self, name: str) -> Callable[..., None]:
        """`name` in kernels/<folder>/cuda.py."""
        folder = KERNELS[name].folder
        module = f"tinygradconv.kernels.{folder}.cuda"
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as problem:
            if not module.startswith(str(problem.name)):
                raise
            found = None
        if found is None:
            raise NotImplementedError(f"the kernel {name} has no CUDA form in kernels/{folder}/cuda.py, and nothing is computed on the "
                                      f"CPU in its place. Move the tensors to the CPU for this op: x.to('cpu')")
        return found

    # Arrays.
    def whole(self, array: CudaArray) -> CudaArray:
        """The same numbers one after the other in row-major order: a copy of a view, anything else as it is."""
        if type(array) is not CudaView:
            return array
        made = self.empty(array.shape, array.dtype)
        self.run("copy", array, made)
        return made

    def constant(self, values: np.ndarray) -> CudaArray:
        """The same values on the GPU, never to be written to: the last small ones are kept, as every step asks for the same few."""
        values = np.asarray(values)
        if values.nbytes > LARGEST_CONSTANT:
            return self.asarray(values)
        key = values.dtype, values.shape, values.tobytes()
        known = self._constants.get(key)
        if known is None:
            if values.size == 1 and values.itemsize >= 4:
                known = self.device.number(values.reshape(-1)[0], values.dtype).reshape(values.shape)
            else:
                known = self.asarray(values)
            if not recorder:                               # what is recorded is there after each replay, not before
                if len(self._constants) >= MOST_CONSTANTS:
                    self._constants.clear()
                self._constants[key] = known
        return known

    def adopted(self, arrays: Sequence[Any]) -> list[Any]:
        """The operands of an op on the GPU: bare numbers, which may be given on the host, as constants."""
        return [array if type(array) is CudaArray or array is None else self.constant(array) for array in arrays]

    def taken(self, values: Any, dtype: Any = None, *, copy: bool = False) -> CudaArray:
        """An array of the GPU, ours or another library's, as one that a tensor may hold: shared, unless a copy or another dtype is asked.

        One that does not lie in row-major order is copied. TypeError for a dtype that no tensor has.
        """
        array = values if isinstance(values, CudaArray) else borrowed(self, values)
        wanted = array.dtype if dtype is None else np.dtype(dtype)
        if not copy and wanted == array.dtype:
            return self.whole(array)
        made = self.empty(array.shape, wanted)
        self.run("copy", array, made)
        return made

    def asarray(self, values: np.ndarray) -> CudaArray:
        """The same values on the GPU: a copy."""
        made = self.empty(values.shape, values.dtype)
        self.assign(made, values)
        return made

    def assign(self, array: CudaArray, values: Any) -> None:
        """Change an array in place: array[...] = values, which are on the host."""
        with self._errors("assign"):
            self.transfers.to_device(np.broadcast_to(np.asarray(values, array.dtype), array.shape), array.pointer)

    def to_numpy(self, array: CudaArray) -> np.ndarray:
        """The same values as a NumPy array: a copy, once everything that was started before has been computed."""
        made = np.empty(array.shape, array.dtype)
        with self._errors("to_numpy"):
            self.transfers.to_host(self.whole(array).pointer, made)
        return made

    def later(self, array: CudaArray) -> Later:
        """`to_numpy` of a few numbers, begun now; `arrived` waits for them, and not for what is started in between."""
        with self._errors("later"):
            return self.transfers.later(array.pointer, array.shape, array.dtype)

    def arrived(self, numbers: Later) -> np.ndarray:
        """The numbers that `later` began to read."""
        with self._errors("later"):
            return numbers.numpy()

    # The GPU.
    def synchronize(self) -> None:
        """Return when everything that was started has ended; RuntimeError where something went wrong in it."""
        refuse("waits for the GPU: that is for after the call")
        with self.transfers.waiting(), self._errors("synchronize"):
            self.driver.synchronize()

    def memory_statistics(self, *, reset_peak: bool = False) -> dict[str, int]:
        """Bytes of the arrays on the GPU: in use now, cached for reuse, and the most in use since the peak was reset."""
        statistics = self.allocator.statistics()
        if reset_peak:
            self.allocator.reset_peak()
        return statistics

    @contextlib.contextmanager
    def _errors(self, where: str) -> Iterator[None]:
        """What the driver refuses within the block, said with what to do about it."""
        try:
            yield
        except CudaError as problem:
            raise explained(where, problem, setting("launch_blocking")) from problem


__all__ = ["CUDABackend"]
