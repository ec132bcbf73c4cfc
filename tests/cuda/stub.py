"""A driver without a GPU: the interface of tinygradconv/backends/cuda/driver.py over the host's memory, and a diary of what it was asked.

What is given to a stream is done at the last moment that the order of streams and marks allows: when somebody waits for it. So a buffer
that is filled again too early, or read too early, shows as wrong numbers. A launched kernel is a Python function of the raw arguments.
"""
from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from typing import Any

from tinygradconv.backends.cuda.errors import CudaError, OutOfMemory

WIDTHS = {"float32": ctypes.c_float, "float64": ctypes.c_double, "int8": ctypes.c_int8, "uint8": ctypes.c_uint8, "int16": ctypes.c_int16,
          "uint16": ctypes.c_uint16, "int32": ctypes.c_int32, "uint32": ctypes.c_uint32, "int64": ctypes.c_int64, "uint64": ctypes.c_uint64}


NOT_WHILE_CAPTURING = {"synchronize", "load", "free", "free_pinned", "begin_capture", "finish", "record", "wait", "start"}


class Ticket:
    """A place in a stream: done once the stream has come so far."""

    def __init__(self, stream: str) -> None:
        self.stream, self.done = stream, False


class StubDriver:
    """`total` bytes of memory; `fails`: (call, the driver's name of the error) of the next calls that are to fail."""

    architecture, name, multiprocessors, compute, copies = "sm_90", "Stub", 4, "compute", "copies"

    def __init__(self, total: int = 64 << 20) -> None:
        self.total, self.held, self.calls, self.fails = total, {}, [], []
        self.streams: dict[str, deque[Any]] = {self.compute: deque(), self.copies: deque()}
        self.functions: dict[str, tuple[list[str], Callable[..., None]]] = {}
        self.launches: list[tuple[Any, ...]] = []
        self._aside: deque[Any] | None = None                            # what the compute stream was given before it recorded

    def _note(self, call: str, *details: Any) -> None:
        self.calls.append((call, *details))
        if self._aside is not None and call in NOT_WHILE_CAPTURING:
            raise CudaError(call, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")
        if self.fails and self.fails[0][0] == call:
            raise CudaError(*self.fails.pop(0))

    def allocate(self, nbytes: int) -> int:
        self._note("allocate", nbytes)
        if nbytes > self.memory()[0]:
            raise OutOfMemory("allocate", "CUDA_ERROR_OUT_OF_MEMORY")
        return self._hold(nbytes)

    def _hold(self, nbytes: int) -> int:
        buffer = ctypes.create_string_buffer(nbytes)
        self.held[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, pointer: int) -> None:
        self._note("free", pointer)
        assert not any(self.streams.values()), "memory was given back that something under way may use"
        del self.held[pointer]

    def memory(self) -> tuple[int, int]:
        return self.total - sum(len(buffer) for buffer in self.held.values()), self.total

    def pinned(self, nbytes: int) -> int:
        self._note("pinned", nbytes)
        return self._hold(nbytes)

    def fill(self, pointer: int, byte: int, nbytes: int) -> None:
        self._note("fill", pointer, byte, nbytes)
        assert nbytes <= len(self.held[pointer])
        self.streams[self.compute].append(lambda: ctypes.memset(pointer, byte, nbytes))

    def fill_words(self, pointer: int, word: int, count: int) -> None:
        self._note("fill_words", pointer, word, count)
        self.streams[self.compute].append(lambda: (ctypes.c_uint32 * count).from_address(pointer).__setitem__(slice(None), [word] * count))

    def copy_in(self, pointer: int, address: int, nbytes: int, stream: str) -> None:
        self._note("copy_in", nbytes)
        self.streams[stream].append(lambda: ctypes.memmove(pointer, address, nbytes))

    def copy_out(self, address: int, pointer: int, nbytes: int, stream: str) -> None:
        self._note("copy_out", nbytes)
        self.streams[stream].append(lambda: ctypes.memmove(address, pointer, nbytes))

    def event(self) -> list[Ticket]:
        self._note("event")
        return []                                                       # the last ticket, once recorded

    def record(self, event: list[Ticket], stream: str) -> None:
        self._note("record", stream)
        event[:] = [Ticket(stream)]
        self.streams[stream].append(event[0])

    def wait(self, stream: str, event: list[Ticket]) -> None:
        self._note("wait", stream)
        tickets = list(event)
        self.streams[stream].append(lambda: [self._reach(ticket) for ticket in tickets])

    def finish(self, event: list[Ticket]) -> None:
        self._note("finish")
        for ticket in event:
            self._reach(ticket)

    def synchronize(self) -> None:
        self._note("synchronize")
        for stream in self.streams:
            while self.streams[stream]:
                self._step(stream)

    def _reach(self, ticket: Ticket) -> None:
        while not ticket.done:
            self._step(ticket.stream)

    def _step(self, stream: str) -> None:
        task = self.streams[stream].popleft()
        if isinstance(task, Ticket):
            task.done = True
        else:
            task()

    def free_pinned(self, address: int) -> None:
        self._note("free_pinned", address)
        assert not any(self.streams.values()), "memory was given back that something under way may use"
        del self.held[address]

    def copy_within(self, target: int, source: int, nbytes: int) -> None:
        self._note("copy_within", nbytes)
        self.streams[self.compute].append(lambda: ctypes.memmove(target, source, nbytes))

    def begin_capture(self) -> None:
        self._note("begin_capture")
        self._aside, self.streams[self.compute] = self.streams[self.compute], deque()

    def end_capture(self) -> tuple[Any, ...]:
        put_down, self.streams[self.compute], self._aside = tuple(self.streams[self.compute]), self._aside, None
        self._note("end_capture")                                        # it ends, also where nothing came of it
        return put_down

    def instantiate(self, graph: tuple[Any, ...]) -> tuple[Any, ...]:
        self._note("instantiate", len(graph))
        return graph

    def drop_graph(self, graph: tuple[Any, ...]) -> None:
        self._note("drop_graph", len(graph))

    def start(self, executable: tuple[Any, ...]) -> None:
        self._note("start", len(executable))
        self.streams[self.compute].extend(executable)

    def drop_executable(self, executable: tuple[Any, ...]) -> None:
        self._note("drop_executable", len(executable))

    def load(self, cubin: bytes, entry: str, shared: int = 0) -> str:
        self._note("load", entry, shared)
        return entry

    def launch(self, function: str, grid: tuple[int, int, int], threads: int, shared: int, parameters: int) -> None:
        self._note("launch", function, grid, threads, shared)
        kinds, run = self.functions[function]
        places = (ctypes.c_void_p * len(kinds)).from_address(parameters)
        values = [(ctypes.c_uint64 if kind.endswith("*") else WIDTHS[kind]).from_address(place).value for kind, place in zip(kinds, places)]
        self.launches.append((function, *values))
        self.streams[self.compute].append(lambda: run(*values))
