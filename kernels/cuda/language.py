"""What a CUDA kernel is written with: two lists of words, two decorators and the types of numbers.

A kernel is a Python function over `cuda` (threads, blocks, shared memory, barriers) and `ptx` (single instructions of the GPU). Two readers
give these words a meaning: the compiler (Numba's `cuda` module, and `intrinsics.py`) and the emulator (`emulator/`), which runs the same
function in plain Python. Called as plain Python the words say so. Nothing here imports Numba.

    def axpy(T):                                                        # a template: a plain function of constants
        @kernel(f"a: {T}, x: {T}*, y: {T}*, n: int64", threads=256)     # the parameters: numbers, and pointers (*) to numbers
        def axpy(a, x, y, n):
            i = cuda.grid(1)
            if i < n:
                y[i] = a * x[i] + y[i]
        return axpy

    device.launch(axpy(float32), grid, 2.0, x, y, x.size)

How numbers are typed is Numba's way: an integer expression is 64 bits wide whatever its parts, so `int32(...)` around an index saves
registers; `float32 * integer` and `float32 * 0.5` are float64, so a constant is written `T(0.5)`. // and % round down, as Python's do.
"""
from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import numpy as np


class Scalar:
    """A type of numbers: T(x) converts, and f"{T}*" is a pointer to such numbers in a kernel's signature."""

    def __init__(self, name: str) -> None:
        self.name, self.dtype = name, np.dtype(name)
        kind, bits = self.dtype.kind, 8 * self.dtype.itemsize
        self._least, self._most = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind == "i" else (0, (1 << bits) - 1)

    def __call__(self, value: Any) -> Any:
        """The value as such a number. Unsigned integers wrap; a signed one that does not fit is an error."""
        if self.dtype.kind == "f":
            return self.dtype.type(value)
        value = int(value)
        if self.dtype.kind == "u":
            return value & self._most
        if not self._least <= value <= self._most:
            raise OverflowError(f"{self.name}({value}): the value does not fit. Keep it in int64, or wrap on purpose with u{self.name}")
        return value

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


float32, float64 = Scalar("float32"), Scalar("float64")
int8, int16, int32, int64 = Scalar("int8"), Scalar("int16"), Scalar("int32"), Scalar("int64")
uint8, uint16, uint32, uint64 = Scalar("uint8"), Scalar("uint16"), Scalar("uint32"), Scalar("uint64")
SCALARS = {T.name: T for T in (float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64)}


@cache
def scalar_of(dtype: Any) -> Scalar:
    """The type of an array's numbers; bool is uint8, one byte that is 0 or 1."""
    dtype = np.dtype(dtype)
    return uint8 if dtype == np.bool_ else SCALARS[dtype.name]


# What can be said of threads, blocks and memory. The names and meanings are Numba's.
CUDA_WORDS = {
    "threadIdx": "threadIdx.x: the number of this thread in its block",
    "blockIdx": "blockIdx.x, .y, .z: which block of the grid this is",
    "blockDim": "blockDim.x: threads in a block",
    "gridDim": "gridDim.x, .y, .z: blocks in the grid",
    "laneid": "the number of this thread in its warp of 32",
    "grid": "grid(1): blockIdx.x · blockDim.x + threadIdx.x",
    "gridsize": "gridsize(1): gridDim.x · blockDim.x, all threads of the grid",
    "shared": "shared.array(n, T, alignment=16): memory that the threads of a block share; n = 0: the launch's dynamic memory",
    "local": "local.array(n, T): a thread's own array, in registers as long as every index is a constant once loops are unrolled",
    "syncthreads": "wait until every thread of the block is here; what they wrote to shared memory before is then seen by all",
    "syncwarp": "the same for the 32 threads of a warp",
}

# Single instructions of the GPU. p and q are pointers or shared arrays; i and j count their elements.
PTX_WORDS = {
    "load4": "load4(p, i): p[i:i+4] in one load, 16-byte aligned for numbers of 4 bytes, 4-byte aligned for bytes",
    "store4": "store4(p, i, a, b, c, d): p[i:i+4] = a, b, c, d in one store, aligned likewise",
    "load2": "load2(p, i): p[i:i+2] in one load, 16-byte aligned for numbers of 8 bytes, 8-byte aligned for those of 4",
    "store2": "store2(p, i, a, b): p[i:i+2] = a, b in one store, aligned likewise",
    "load_bits": "load_bits(s, i, constant): the bits of the float32 s[i + constant] in shared memory as uint32; the constant is free",
    "cp_async16": "cp_async16(s, i, p, j, n): 16 bytes from global p[j:] to shared s[i:], later; n bytes (int32) are read, the rest is 0",
    "cp_async4": "cp_async4(s, i, p, j, n): the same for 4 bytes",
    "cp_commit": "cp_commit(): the copies since the last commit become a group",
    "cp_wait": "cp_wait(n): wait until at most n (a constant) of this thread's groups are under way",
    "ldmatrix4": "ldmatrix4(s, i): four 8×8 matrices of 16-bit numbers from shared memory; lane l gives the row l % 8 of matrix l // 8",
    "ldmatrix4_transposed": "ldmatrix4_transposed(s, i): the same, each matrix transposed",
    "mma_tf32": "mma_tf32(a, b, c): c + a·b, 16×8×8, of a warp: 4 and 2 uint32 of tf32 bits, 4 float32",
    "mma_bf16": "mma_bf16(a, b, c): c + a·b, 16×8×16, of a warp: 4 and 2 uint32 of two bfloat16 each, 4 float32",
    "fence_async": "fence_async(): what this thread wrote to shared memory is seen by wgmma, once the block has met at a barrier",
    "wgmma_fence": "wgmma_fence(): what this thread wrote to `sums` comes before the wgmma that follow",
    "wgmma_bf16": "wgmma_bf16(n, sums, s, a, b): sums + A·B, 64×16×n, of 128 threads, later; A (64×16) and B (n×16), bfloat16, in rows of "
                  "128 bytes from s[a] and s[b] on, of shared memory; n / 2 sums, float32, of each thread. n is a constant. H100 only",
    "wgmma_commit": "wgmma_commit(): the products since the last commit become a group",
    "wgmma_wait": "wgmma_wait(n): wait until at most n (a constant) groups of products are under way",
    "tf32": "tf32(x): the bits of a float32, rounded to the nearest tf32, ties away from zero",
    "bf16": "bf16(x): the bits (uint16) of the bfloat16 nearest to a float32, ties to even",
    "bf16_pair": "bf16_pair(low, high): two of them in a uint32, low in the lower half",
    "float_of_bf16": "float_of_bf16(u): the float32 that a bfloat16's bits (uint16) stand for",
    "pointer": "pointer(address, T): the memory at an address (int64), as numbers of type T: of an array that the launch `reaches`",
    "bits_of": "bits_of(x): a float32's bits as uint32, a float64's as uint64",
    "float_of": "float_of(u): the float32 with these bits",
    "keep": "keep(x): x, an integer, held from here on; the compiler may not compute it again in every round of a loop to save a register",
    "shuffle_down": "shuffle_down(x, d): x of the lane d further on; a lane with none keeps its own. All 32 lanes take part",
    "shuffle_xor": "shuffle_xor(x, m): x of the lane whose number is this one's ^ m. All 32 lanes take part",
    "ballot": "ballot(p): a uint32 whose bit l says whether p held in lane l",
    "fma": "fma(a, b, c): a·b + c, rounded once; float32 or float64",
    "rint": "rint(x): the nearest whole number, ties to even; float32 or float64",
    "rcp": "rcp(x): 1 / x in float32 to within 1 ulp (rcp.approx.ftz)",
}


class Words:
    """Names that mean something in a kernel only; used as plain Python, each says how to run the kernel instead."""

    def __init__(self, name: str, words: dict[str, str]) -> None:
        self._name, self._words = name, words

    def __getattr__(self, word: str) -> NoReturn:
        if word in self._words:
            raise RuntimeError(f"{self._name}.{word} is a word of a CUDA kernel, and this is plain Python. Launch the kernel on a GPU "
                               f"(device.launch(kernel, grid, ...)), or run it here: emulate(kernel, grid, ...)")
        raise AttributeError(f"{self._name} has no word {word!r}; it has {', '.join(self._words)}")

    def __dir__(self) -> Iterator[str]:
        return iter(self._words)


cuda, ptx = Words("cuda", CUDA_WORDS), Words("ptx", PTX_WORDS)


@dataclass(frozen=True, eq=False)
class DeviceFunction:
    """A function that kernels and other such functions call on the GPU; it is inlined into them."""

    function: types.FunctionType

    @property
    def name(self) -> str:
        """What it is called in its source."""
        return self.function.__name__

    def __call__(self, *arguments: Any) -> NoReturn:
        raise RuntimeError(f"{self.name} is a device function: it is called by a CUDA kernel. Launch the kernel, or emulate it")


@dataclass(frozen=True, eq=False)
class CudaKernel:
    """A kernel with its constants bound: what the compiler compiles, the emulator runs, and a launch names.

    parameters  ((name, type), …) in order; a type is a Scalar's name, or that and "*" for a pointer
    threads     of a block, along x
    registers   the most that a thread may use (doctor --kernels fails beyond it); None: what `threads` and `min_blocks` allow
    shared      bytes of dynamic shared memory
    min_blocks  that are to fit on a multiprocessor at once
    requires    what the compiled instructions must contain, e.g. ("HMMA",)
    only        the one architecture that it is compiled for, where its instructions are of one GPU alone: "sm_90a", of the H100
    """

    function: types.FunctionType
    parameters: tuple[tuple[str, str], ...]
    threads: int
    registers: int | None = None
    shared: int = 0
    min_blocks: int = 1
    requires: tuple[str, ...] = ()
    only: str | None = None

    @property
    def name(self) -> str:
        """What it is called in its source."""
        return self.function.__name__

    @property
    def constants(self) -> dict[str, Any]:
        """What its template was called with, as far as the function uses it: {'T': float32, …}, by name."""
        cells = zip(self.function.__code__.co_freevars, (cell.cell_contents for cell in self.function.__closure__ or ()))
        return {name: value for name, value in cells if isinstance(value, Scalar | int | float | str | tuple)}

    @property
    def label(self) -> str:
        """Name and constants, for reports: "matmul[T=float32, rows=64]"."""
        constants = ", ".join(f"{name}={value}" for name, value in self.constants.items())
        return f"{self.name}[{constants}]" if constants else self.name

    def __call__(self, *arguments: Any) -> NoReturn:
        raise RuntimeError(f"{self.name} is a CUDA kernel: device.launch({self.name}, grid, ...) runs it on a GPU, "
                           f"emulate({self.name}, grid, ...) here")


def device(function: types.FunctionType) -> DeviceFunction:
    """Mark a function that kernels call."""
    return DeviceFunction(function)


def kernel(signature: str, *, threads: int, registers: int | None = None, shared: int = 0, min_blocks: int = 1,
           requires: tuple[str, ...] = (), only: str | None = None) -> Callable[[types.FunctionType], CudaKernel]:
    """Mark a kernel: `signature` is "x: float32*, n: int64, …", each parameter of the function in order; the rest is CudaKernel's.

    ValueError says which part of a signature does not fit the function.
    """
    parameters = _parse(signature)

    def mark(function: types.FunctionType) -> CudaKernel:
        names = tuple(inspect.signature(function).parameters)
        if names != tuple(name for name, _ in parameters):
            raise ValueError(f"kernel {function.__name__}({', '.join(names)}): its signature names {', '.join(n for n, _ in parameters)}")
        if not 1 <= threads <= 1024:
            raise ValueError(f"kernel {function.__name__}: a block has 1 to 1024 threads, got {threads}")
        return CudaKernel(function, parameters, threads, registers, shared, min_blocks, requires, only)
    return mark


def _parse(signature: str) -> tuple[tuple[str, str], ...]:
    """((name, type), …) of "name: type, …"."""
    parameters = []
    for part in signature.split(","):
        name, colon, kind = (piece.strip() for piece in part.partition(":"))
        if not colon or not name.isidentifier() or kind.removesuffix("*") not in SCALARS:
            raise ValueError(f"kernel signature: expected 'name: type' or 'name: type*', got {part.strip()!r}. "
                             f"Types are {', '.join(SCALARS)}")
        parameters.append((name, kind))
    return tuple(parameters)
