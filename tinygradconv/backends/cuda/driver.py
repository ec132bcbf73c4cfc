"""The one module that talks to a GPU: its context, streams, memory, copies, modules, launches and errors, through cuda.bindings.

Two streams: everything is computed on one, in order; the other moves data between the host and the GPU meanwhile. Neither waits for the
default stream. The context is the device's primary one, which torch, CuPy and JAX use too, so pointers may be shared with them.
"""
from __future__ import annotations

import threading
from typing import Any

from .errors import CudaError, OutOfMemory
from .toolchain import INSTALL

_NON_BLOCKING, _WITHOUT_TIME, _PORTABLE = 1, 2, 1      # flags of streams, of events, of pinned memory
STATIC_SHARED = 48 << 10                               # what a block may have of shared memory without asking for more


def _bindings() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as problem:
        raise ImportError(f"the GPU is driven by cuda-bindings, which cannot be imported ({problem}): {INSTALL}") from None
    return driver


class Driver:
    """One GPU. Pointers and sizes are plain integers; streams, events and functions are for these methods only.

    A refusal is a CudaError with the name of the call and the driver's name of the reason. What a kernel does wrong shows at a later
    call, whichever that is.
    """

    def __init__(self, ordinal: int = 0) -> None:
        self._api = _bindings()
        self._here = threading.local()
        self._ask("cuInit", 0)
        self.device = self._ask("cuDeviceGet", ordinal)
        self._context = self._ask("cuDevicePrimaryCtxRetain", self.device)
        kinds = self._api.CUdevice_attribute
        major, minor, self.multiprocessors, self.shared = (
            int(self._ask("cuDeviceGetAttribute", getattr(kinds, f"CU_DEVICE_ATTRIBUTE_{kind}"), self.device)) for kind in
            ("COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR", "MULTIPROCESSOR_COUNT", "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"))
        self.architecture = f"sm_{major}{minor}"
        self.name = self._ask("cuDeviceGetName", 256, self.device).split(b"\0")[0].decode()
        self.compute, self.copies = (self._call("cuStreamCreate", _NON_BLOCKING) for _ in range(2))
        self._launch = self._api.cuLaunchKernel

    # Memory.
    def allocate(self, nbytes: int) -> int:
        """Address of fresh memory; OutOfMemory where there is none."""
        return int(self._call("cuMemAlloc", nbytes))

    def free(self, pointer: int) -> None:
        """Give back what `allocate` gave; nothing that was started may still use it."""
        self._call("cuMemFree", pointer)

    def memory(self) -> tuple[int, int]:
        """(free, total) bytes of the GPU."""
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def fill(self, pointer: int, byte: int, nbytes: int) -> None:
        """Set each of `nbytes` bytes, in the order of the compute stream."""
        self._call("cuMemsetD8Async", pointer, byte, nbytes, self.compute)

    def fill_words(self, pointer: int, word: int, count: int) -> None:
        """Set `count` words of four bytes, in the order of the compute stream."""
        self._call("cuMemsetD32Async", pointer, word, count, self.compute)

    def pinned(self, nbytes: int) -> int:
        """Address of memory of the host from which and to which the GPU copies by itself."""
        return int(self._call("cuMemHostAlloc", nbytes, _PORTABLE))

    def free_pinned(self, address: int) -> None:
        """Give back what `pinned` gave."""
        self._call("cuMemFreeHost", address)

    # Copies, each in the order of the stream that is named.
    def copy_in(self, pointer: int, address: int, nbytes: int, stream: Any) -> None:
        """From pinned memory of the host to the GPU."""
        self._call("cuMemcpyHtoDAsync", pointer, address, nbytes, stream)

    def copy_out(self, address: int, pointer: int, nbytes: int, stream: Any) -> None:
        """From the GPU to pinned memory of the host."""
        self._call("cuMemcpyDtoHAsync", address, pointer, nbytes, stream)

    def copy_within(self, target: int, source: int, nbytes: int) -> None:
        """From one place on the GPU to another, on the compute stream."""
        self._call("cuMemcpyDtoDAsync", target, source, nbytes, self.compute)

    # Order.
    def event(self) -> Any:
        """A mark that can be set in a stream."""
        return self._call("cuEventCreate", _WITHOUT_TIME)

    def record(self, event: Any, stream: Any) -> None:
        """Set the mark after what the stream has been given so far."""
        self._call("cuEventRecord", event, stream)

    def stream(self) -> Any:
        """One more stream, for work of another library beside what is computed."""
        return self._call("cuStreamCreate", _NON_BLOCKING)

    def wait(self, stream: Any, event: Any) -> None:
        """What the stream is given from now on starts after the mark; the host goes on."""
        self._call("cuStreamWaitEvent", stream, event, 0)

    def finish(self, event: Any) -> None:
        """Return when the mark is reached; at once where it was never set."""
        self._call("cuEventSynchronize", event)

    def synchronize(self) -> None:
        """Return when everything that was started has ended."""
        self._call("cuStreamSynchronize", self.copies)
        self._call("cuStreamSynchronize", self.compute)

    # Kernels.
    def load(self, cubin: bytes, entry: str, shared: int = 0) -> Any:
        """The function of this name in a cubin, ready to be launched with `shared` bytes of dynamic shared memory."""
        function = self._call("cuModuleGetFunction", self._call("cuModuleLoadData", cubin), entry.encode())
        if shared > STATIC_SHARED:
            kind = self._api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", function, kind, shared)
        return function

    def launch(self, function: Any, grid: tuple[int, int, int], threads: int, shared: int, parameters: int) -> None:
        """Start a kernel on the compute stream; `parameters` is the address of an array of the arguments' addresses, read at once."""
        if not hasattr(self._here, "attached"):
            self._attach()
        x, y, z = grid
        status = self._launch(function, x, y, z, threads, 1, 1, shared, self.compute, parameters, 0)[0]
        if status:
            raise self._error("cuLaunchKernel", status)

    # Graphs.
    def begin_capture(self) -> None:
        """From now on the compute stream puts down what it is given, and starts none of it; the rest of the driver goes on as ever."""
        self._call("cuStreamBeginCapture", self.compute, self._api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED)

    def end_capture(self) -> Any:
        """What the compute stream has put down; it starts what it is given again."""
        return self._call("cuStreamEndCapture", self.compute)

    def instantiate(self, graph: Any) -> Any:
        """What was put down, made ready to be started; the graph itself is let go."""
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self.drop_graph(graph)

    def drop_graph(self, graph: Any) -> None:
        """Let go what was put down."""
        self._call("cuGraphDestroy", graph)

    def start(self, executable: Any) -> None:
        """Start all of a graph, in the order of the compute stream."""
        self._call("cuGraphLaunch", executable, self.compute)

    def drop_executable(self, executable: Any) -> None:
        """Let a graph go; where it is running, once it has ended."""
        self._call("cuGraphExecDestroy", executable)

    def _call(self, name: str, *arguments: Any) -> Any:
        """One function of the driver, with the GPU's context in this thread; what it returns beside its status."""
        if not hasattr(self._here, "attached"):
            self._attach()
        return self._ask(name, *arguments)

    def _ask(self, name: str, *arguments: Any) -> Any:
        status, *answer = getattr(self._api, name)(*arguments)
        if status:
            raise self._error(name, status)
        return None if not answer else answer[0] if len(answer) == 1 else tuple(answer)

    def _attach(self) -> None:
        """Each thread has a current context of its own; this one's shall be the GPU's."""
        self._ask("cuCtxSetCurrent", self._context)
        self._here.attached = True

    def _error(self, call: str, status: Any) -> CudaError:
        name = getattr(status, "name", str(status))
        return (OutOfMemory if name == "CUDA_ERROR_OUT_OF_MEMORY" else CudaError)(call, name)


__all__ = ["Driver"]
