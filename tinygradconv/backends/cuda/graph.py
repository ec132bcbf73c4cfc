"""A step recorded as one CUDA graph: everything that it launches is put down once, and started again with one call of the driver.

A recorded launch keeps its arguments: the addresses of arrays, and numbers. So

    arrays      stay where they are. What a step makes for itself comes from a pool that lives as long as the graph; what it is handed is
                copied to a place of its own before each replay; what else it reads or writes (parameters) the graph keeps alive.
    numbers     that change between replays lie in the GPU's memory. A host function that takes such a number (the rate of an
                optimiser; the step of Adam, and of random numbers) asks `device.number(rate, "float64")`, which is an array of one element:
                from a number of the host, or where the number is `Live` (backends/live.py) the place that is filled before each replay.
                Its kernels read rate[0]; captured and eager steps run the same kernels, so they give the same bits.
    constants   that the host moves to the GPU while a step is recorded lie in pinned memory of the graph; each replay moves them again.
"""
from __future__ import annotations

import contextlib
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from ctypes import c_char, memmove
from typing import Any

import numpy as np

from tinygradconv.backends.live import CannotRecord, Live, recorder

from .allocator import Allocator
from .array import CudaArray
from .errors import CudaError, explained
from .launch import CODES

SLOT, MOST_NUMBERS = 8, 512                # bytes of a number that changes, how many there may be
ROWS = 4                                   # replays that the host may be ahead of the GPU
MOST_CONSTANTS = 1 << 20                   # bytes


class _Number:
    """Where a number that changes comes from, and where it is put: (place, how it is packed) for each dtype that kernels asked for."""

    __slots__ = ("live", "places", "read")

    def __init__(self, name: str, read: Callable[[], Any], place: Callable[[_Number, Any], CudaArray]) -> None:
        self.read, self.live = read, Live(name, lambda dtype: place(self, dtype))
        self.places: dict[np.dtype, int] = {}


class Recording:
    """What a step tells while it is recorded: see backends/live.py, which is how it finds this.

    thread     the thread that records; others may copy to and from the GPU once the recording has ended
    changed    storages whose memory it changes in place, once for each time
    leaves     nodes of the tape to whose gradients it adds
    holds      questions that must be answered with yes for a replay to be what the step would do now
    tables     (array, address): numbers in pinned memory that are put into the array before the first replay
    """

    def __init__(self, driver: Any, memory: Allocator, pool: Allocator) -> None:
        self.changed: list[Any] = []
        self.leaves: list[Any] = []
        self.holds: list[Callable[[], bool]] = []
        self._driver, self._pool, self.thread = driver, pool, threading.get_ident()
        self._numbers: list[_Number] = []
        self._kept: dict[int, Any] = {}
        self._memory = memory                                  # for what stays: in the pool replays of other recordings write too
        self._slots = memory.take(SLOT * MOST_NUMBERS)
        self.tables: list[tuple[CudaArray, int]] = []
        self._constants, self._used = driver.pinned(MOST_CONSTANTS), 0

    def follow(self, name: str, read: Callable[[], Any]) -> Live:
        """A number that read() gives before each replay, in the order of these calls."""
        self._numbers.append(_Number(name, read, self._place))
        return self._numbers[-1].live

    def _place(self, number: _Number, dtype: Any) -> CudaArray:
        kind = np.dtype(dtype)
        if kind not in number.places:
            taken = sum(len(other.places) for other in self._numbers)
            if taken == MOST_NUMBERS:
                raise CannotRecord(f"has more than {MOST_NUMBERS} numbers that change from call to call: give them as a tensor")
            number.places[kind] = taken
        return CudaArray(self._slots, (1,), kind, self._slots.pointer + SLOT * number.places[kind])

    def constant(self, values: np.ndarray, pointer: int) -> None:
        """Each replay puts these numbers, as they are now, to `pointer`, at this place in the order."""
        self._driver.copy_in(pointer, self._pinned(values), values.nbytes, self._driver.compute)

    def table(self, values: np.ndarray) -> CudaArray:
        """An array of these numbers, which are put there once, before the first replay."""
        made = CudaArray(self._memory.take(values.nbytes), values.shape, values.dtype)
        self.tables.append((made, self._pinned(values)))
        return made

    def _pinned(self, values: np.ndarray) -> int:
        """Where a copy of these numbers lies in pinned memory, for as long as the recording is there."""
        values = np.ascontiguousarray(values)
        start = self._used
        self._used += -(-values.nbytes // SLOT) * SLOT
        if self._used > MOST_CONSTANTS:
            raise CannotRecord(f"moves more than {MOST_CONSTANTS} bytes from the host to the GPU: move them before the step, or give them "
                               f"as arguments")
        memmove(self._constants + start, values.ctypes.data, values.nbytes)
        return self._constants + start

    def note(self, arguments: Sequence[Any]) -> None:
        """Keep alive what a launch reads and writes and the pool does not own. RuntimeError in a thread that is not the step's."""
        if threading.get_ident() != self.thread:
            raise RuntimeError("a thread computes on the GPU while another one records a step (tinygradconv.capture). Compute in one "
                               "thread, or begin when every step has been recorded")
        for argument in arguments:
            if isinstance(argument, (tuple, list)):
                self.note(argument)
            else:
                block = getattr(argument, "block", None)
                if block is not None and not self._pool.owns(block):
                    self._kept[id(block)] = block

    def __del__(self) -> None:
        _dropped.append((self._driver, None, [self._constants]))


class Graph:
    """A recorded step, ready to be replayed. `result` is what its function returned: arrays that each replay fills again."""

    def __init__(self, driver: Any, recording: Recording, executable: Any, result: Any) -> None:
        self.result, self._driver, self._recording, self._executable = result, driver, recording, executable
        self._numbers = [(number, [(SLOT * place, f"={CODES[dtype.name][0]}") for dtype, place in number.places.items()])
                         for number in recording._numbers]
        self._row, self._last = SLOT * sum(len(places) for _, places in self._numbers), b""
        self._rows = [(driver.pinned(self._row), driver.event()) for _ in range(ROWS if self._row else 0)]
        self._turn, self._first = 0, True
        for table, address in recording.tables:
            driver.copy_in(table.pointer, address, table.nbytes, driver.compute)

    def valid(self) -> bool:
        """Whether what the step found on the host, where the recording asked for it, is still the same."""
        return all(holds() for holds in self._recording.holds)

    def replay(self) -> None:
        """Start the step once more. RuntimeError where the driver refuses."""
        try:
            self._fill()
            self._driver.start(self._executable)
        except CudaError as problem:
            raise explained("the replay of a captured step", problem, False) from problem
        if not self._first:                                    # the recording itself has counted the changes of the first
            for storage in self._recording.changed:
                storage.version += 1
        self._first = False

    def _fill(self) -> None:
        """Read the numbers that change, and put them where the kernels find them; what is there already is not put there again."""
        row = bytearray(self._row)
        for number, places in self._numbers:
            value = number.read()
            for check in number.live.checks:
                check(value)
            for at, code in places:
                struct.pack_into(code, row, at, value)
        if bytes(row) == self._last:
            return
        address, copied = self._rows[self._turn]
        self._turn = (self._turn + 1) % len(self._rows)
        self._driver.finish(copied)                            # of ROWS replays ago
        (c_char * self._row).from_address(address)[:] = bytes(row)
        self._driver.copy_in(self._recording._slots.pointer, address, self._row, self._driver.compute)
        self._driver.record(copied, self._driver.compute)
        self._last = bytes(row)

    def __del__(self) -> None:
        _dropped.append((self._driver, self._executable, [address for address, _ in self._rows]))


# Graphs and pinned memory that nobody needs any more: (driver, graph or None, addresses). A garbage collection may find them at any time,
# also while a step is recorded, when the driver may be asked for little; so they are let go at the next recording, or `sweep`.
_dropped: deque[tuple[Any, Any, list[int]]] = deque()


def sweep() -> None:
    """Give back what recordings that are gone have held of the driver, after waiting for the GPU."""
    waited = set()
    while _dropped:
        driver, executable, addresses = _dropped.popleft()
        if id(driver) not in waited:
            driver.synchronize()
            waited.add(id(driver))
        if executable is not None:
            driver.drop_executable(executable)
        for address in addresses:
            driver.free_pinned(address)


def record(gpu: Any, pool: Allocator, recording: Recording, run: Callable[[], Any]) -> Graph:
    """What `run()` launches on a GPU (its back end), as a graph; nothing of it is computed yet. Other threads' copies wait meanwhile.

    What `run` raises is raised again, and nothing has happened on the GPU. RuntimeError: the driver gave the recording up.
    """
    sweep()
    try:
        with gpu.transfers.waiting(), _recorded(gpu.driver, gpu.device, pool, recording) as made:
            result = run()
        return Graph(gpu.driver, recording, gpu.driver.instantiate(made[0]), result)
    except CudaError as problem:
        raise RuntimeError(f"capture: the driver cannot record this step: {problem}") from problem


@contextlib.contextmanager
def _recorded(driver: Any, device: Any, pool: Allocator, recording: Recording) -> Iterator[list[Any]]:
    """Within the block what is launched is put down; then the list holds it."""
    made: list[Any] = []
    with device.allocating(pool):
        driver.begin_capture()
        recorder.append(recording)
        try:
            yield made
        except BaseException:
            with contextlib.suppress(CudaError):
                driver.drop_graph(driver.end_capture())
            raise
        finally:
            recorder.clear()
        made.append(driver.end_capture())


__all__ = ["Graph", "Recording", "record", "sweep"]
