"""What `cuda` and `ptx` mean in an emulated kernel."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..language import Scalar, float32, uint32
from . import copies, tensor_cores
from .memory import LocalArray, Pointer, SharedMemory, pointed_to
from .order import Stamp

DYNAMIC_UNIT = 2                          # bytes: dynamic shared memory may be seen as numbers of 2, 4 and 8 bytes


class Position(NamedTuple):
    """x, y, z of a thread, a block or a size."""

    x: int
    y: int
    z: int


class _SharedArrays:
    def __init__(self, launch: Any) -> None:
        self._launch = launch

    def array(self, size: int, T: Scalar, alignment: int = 16) -> Pointer:
        """The block's next shared array: the n-th that a thread declares is the n-th of every other thread; 0 is the dynamic memory.

        That lies at a multiple of the alignment with which it is declared first.
        """
        launch, thread = self._launch, self._launch.thread
        block = thread.block
        if size == 0:
            if block.dynamic is None:
                block.dynamic = SharedMemory(launch.kernel.shared, "dynamic shared memory", DYNAMIC_UNIT, alignment)
            return block.dynamic.view(launch, T.dtype)
        if thread.arrays == len(block.shared):
            block.shared.append(SharedMemory(size * T.dtype.itemsize, f"shared array {thread.arrays}", T.dtype.itemsize, alignment))
        thread.arrays += 1
        return block.shared[thread.arrays - 1].view(launch, T.dtype)


class _LocalArrays:
    def __init__(self, launch: Any) -> None:
        self._launch = launch

    def array(self, size: int, T: Scalar) -> LocalArray:
        """A new array of this thread."""
        return LocalArray(self._launch, size, T)


class CudaWords:
    """language.CUDA_WORDS, for whichever thread is running."""

    def __init__(self, launch: Any) -> None:
        self._launch = launch
        self.shared, self.local = _SharedArrays(launch), _LocalArrays(launch)
        self.blockDim, self.gridDim = Position(launch.kernel.threads, 1, 1), launch.grid

    @property
    def threadIdx(self) -> Position:
        """The thread's number, as a position."""
        return Position(self._launch.thread.number, 0, 0)

    @property
    def blockIdx(self) -> Position:
        """The block's position."""
        return self._launch.thread.block.position

    @property
    def laneid(self) -> int:
        """The thread's number in its warp."""
        return self._launch.thread.lane

    def grid(self, axes: int) -> int:
        """The thread's number in the grid, along x."""
        return self.blockIdx.x * self.blockDim.x + self._launch.thread.number

    def gridsize(self, axes: int) -> int:
        """The number of threads of the grid, along x."""
        return self.gridDim.x * self.blockDim.x

    def syncthreads(self) -> None:
        """Wait for the block."""
        self._launch.thread.wait("syncthreads")

    def syncwarp(self) -> None:
        """Wait for the warp."""
        self._launch.thread.wait("syncwarp")


class PtxWords:
    """language.PTX_WORDS, for whichever thread is running."""

    def __init__(self, launch: Any) -> None:
        self._launch = launch

    def load4(self, p: Pointer, i: int) -> tuple:
        return tuple(map(p.read, p.take(i, 4, 4 * p.values.itemsize)))

    def store4(self, p: Pointer, i: int, a: Any, b: Any, c: Any, d: Any) -> None:
        p.put(i, (a, b, c, d), 4 * p.values.itemsize)

    def load2(self, p: Pointer, i: int) -> tuple:
        return tuple(map(p.read, p.take(i, 2, 2 * p.values.itemsize)))

    def store2(self, p: Pointer, i: int, a: Any, b: Any) -> None:
        p.put(i, (a, b), 2 * p.values.itemsize)

    def load_bits(self, s: Pointer, i: int, constant: int) -> int:
        return int(s.take(i + constant, 1, 4).view(np.uint32)[0])

    def cp_async16(self, s: Pointer, i: int, p: Pointer, j: int, n: int) -> None:
        copies.start(self._launch.thread, s, i, p, j, n, 16)

    def cp_async4(self, s: Pointer, i: int, p: Pointer, j: int, n: int) -> None:
        copies.start(self._launch.thread, s, i, p, j, n, 4)

    def cp_commit(self) -> None:
        copies.commit(self._launch.thread)

    def cp_wait(self, n: int) -> None:
        copies.wait(self._launch.thread, n)

    def ldmatrix4(self, s: Pointer, i: int) -> tuple:
        return self._launch.thread.wait("ldmatrix4", s.take(i, 16 // s.values.itemsize, 16))

    def ldmatrix4_transposed(self, s: Pointer, i: int) -> tuple:
        return self._launch.thread.wait("ldmatrix4_transposed", s.take(i, 16 // s.values.itemsize, 16))

    def mma_tf32(self, a: tuple, b: tuple, c: tuple) -> tuple:
        return self._launch.thread.wait("mma_tf32", (a, b, c))

    def mma_bf16(self, a: tuple, b: tuple, c: tuple) -> tuple:
        return self._launch.thread.wait("mma_bf16", (a, b, c))

    def fence_async(self) -> None:
        """What the thread writes from now on is of another interval, so that order.py can tell."""
        thread = self._launch.thread
        thread.fenced.append(thread.block.barriers)
        thread.stamp = Stamp(thread)

    def wgmma_fence(self) -> None:
        self._launch.thread.ordered += 1

    def wgmma_bf16(self, n: int, sums: LocalArray, s: Pointer, a: int, b: int) -> None:
        self._launch.thread.wait("wgmma_bf16", (n, sums, s, a, b))

    def wgmma_commit(self) -> None:
        self._launch.thread.wait("wgmma_commit")

    def wgmma_wait(self, n: int) -> None:
        self._launch.thread.wait("wgmma_wait", n)

    def tf32(self, x: Any) -> int:
        """Adding half a unit rounds the part that is kept, ties away from zero; NaN stays NaN."""
        bits = self.bits_of(x)
        return 0x7FFFFFFF if np.isnan(x) else bits + 0x1000 & 0xFFFFE000

    def bf16(self, x: Any) -> int:
        """Half a unit less one, and one more where the kept part is odd: ties go to even; NaN stays NaN."""
        bits = self.bits_of(x)
        return 0x7FFF if np.isnan(x) else bits + 0x7FFF + (bits >> 16 & 1) >> 16

    def bf16_pair(self, low: Any, high: Any) -> int:
        return self.bf16(low) | self.bf16(high) << 16

    def float_of_bf16(self, u: int) -> np.float32:
        return self.float_of(u << 16)

    def pointer(self, address: int, T: Scalar) -> Pointer:
        return pointed_to(self._launch, address, T)

    def bits_of(self, x: Any) -> int:
        return int(x.view(np.uint64) if isinstance(x, np.float64) else float32(x).view(np.uint32))

    def float_of(self, u: int) -> np.float32:
        return np.uint32(uint32(u)).view(np.float32)

    def shuffle_down(self, x: Any, d: int) -> Any:
        return self._launch.thread.wait("shuffle_down", (x, d))

    def shuffle_xor(self, x: Any, m: int) -> Any:
        return self._launch.thread.wait("shuffle_xor", (x, m))

    def ballot(self, p: Any) -> int:
        return self._launch.thread.wait("ballot", bool(p))

    def keep(self, x: int) -> int:
        return x

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """In twice the precision the product is exact; the two roundings of float32 then meet a tie once in 2²⁹ cases."""
        wide = np.longdouble if isinstance(a, np.float64) else np.float64
        return type(a)(wide(a) * wide(b) + wide(c))

    def rint(self, x: Any) -> Any:
        return np.rint(x)

    def rcp(self, x: Any) -> np.float32:
        return float32(1) / x


def _from_lane(source: Any) -> Any:
    """x of lane source(lane, by); beyond the last lane, one's own."""
    def shuffle(operands: list[tuple[Any, int]]) -> list[Any]:
        lanes = [source(lane, by) for lane, (_, by) in enumerate(operands)]
        return [operands[lane if lane < 32 else own][0] for own, lane in enumerate(lanes)]
    return shuffle


# What a warp does as one: from the 32 threads' operands to their 32 results.
TOGETHER = {
    "syncwarp": lambda operands: operands,
    "shuffle_down": _from_lane(lambda lane, by: lane + by),
    "shuffle_xor": _from_lane(lambda lane, by: lane ^ by),
    "ballot": lambda operands: [sum(held << lane for lane, held in enumerate(operands))] * 32,
    "ldmatrix4": tensor_cores.ldmatrix4,
    "ldmatrix4_transposed": lambda rows: tensor_cores.ldmatrix4(rows, transposed=True),
    "mma_tf32": tensor_cores.mma_tf32,
    "mma_bf16": tensor_cores.mma_bf16,
}
