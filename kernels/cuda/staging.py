"""How an operand of a tensor-core product gets from global memory through registers to shared memory, and how it lies there.

A step's strip of an operand is `lines` lines (rows of A, columns of B) of 32 or 64 bfloat16, or 16 or 32 tf32. It keeps the order that it
has in memory, so that a thread writes to shared memory what it loaded in one piece:

    k first      a line is a row of 64 or 128 bytes
    lines first  a k is a row of 2 · lines or 4 · lines bytes

Shared memory has 32 banks of 4 bytes, so what eight lanes write or read as 16 bytes each, or sixteen as 8, must fill each bank once. Rows
as they are would not: ldmatrix reads 16 bytes of each of eight rows, and the same 16 bytes of rows that are 128 bytes apart lie in the same
banks. So the 16-byte pieces of a row are exchanged: piece c of row r lies at c ^ r % 8 (with rows of 64 bytes, two to a line of banks, at
c ^ r / 2 % 4). Eight rows then give eight different pieces; and a row that is written as a whole still fills all banks, in another order.
tf32 with lines first is read number by number, four k and eight lines at once: there, the eight lines are moved by k % 4 times eight.
Nothing is spent on padding.
"""
from __future__ import annotations

from functools import cache

from .language import DeviceFunction, cuda, device, ptx, uint16, uint32, uint64
from .loading import Loader, deal
from .main_loop import Strips

PIECE = 16                                                     # bytes that ldmatrix takes of a row
BYTES = {"bf16": 2, "tf32": 4}                                 # of a number in shared memory


@cache
def exchange(row_bytes: int) -> DeviceFunction:
    """A function of (row, piece): where that piece of 16 bytes lies in its row of shared memory, in pieces."""
    shift, most = 1 if row_bytes == 64 else 0, min(8, row_bytes // PIECE) - 1

    @device
    def exchanged(row, piece):
        return piece ^ (row >> shift & most)
    return exchanged


@cache
def location(precision: str, lines: int, depth: int, k_first: bool) -> DeviceFunction:
    """A function of (line, k): where that number lies in its strip of shared memory, in numbers."""
    numbers = PIECE // BYTES[precision]
    shift, mask = numbers.bit_length() - 1, numbers - 1
    row = depth // BYTES[precision] if k_first else lines
    exchanged = exchange(row * BYTES[precision])

    @device
    def by_line(line, k):
        return line * row + (exchanged(line, k >> shift) << shift) + (k & mask)

    @device
    def by_k(line, k):
        return k * row + (exchanged(k, line >> shift) << shift) + (line & mask)

    @device
    def by_k_in_eights(line, k):
        return k * row + (line ^ (k & 3) << 3)
    return by_line if k_first else by_k_in_eights if precision == "tf32" else by_k


@cache
def put(precision: str, vector: int) -> DeviceFunction:
    """A function of (at, held, n): rounds held[n:n + vector], and writes it to dynamic shared memory from number `at` on."""
    @device
    def one_bf16(at, held, n):
        s = cuda.shared.array(0, uint16)
        s[uint32(at)] = ptx.bf16(held[n])

    @device
    def four_bf16(at, held, n):
        s = cuda.shared.array(0, uint64)
        low, high = ptx.bf16_pair(held[n], held[n + 1]), ptx.bf16_pair(held[n + 2], held[n + 3])
        s[uint32(at >> 2)] = uint64(low) | uint64(high) << uint64(32)

    @device
    def one_tf32(at, held, n):
        s = cuda.shared.array(0, uint32)
        s[uint32(at)] = ptx.tf32(held[n])

    @device
    def four_tf32(at, held, n):
        s = cuda.shared.array(0, uint32)
        ptx.store4(s, at, ptx.tf32(held[n]), ptx.tf32(held[n + 1]), ptx.tf32(held[n + 2]), ptx.tf32(held[n + 3]))
    return {("bf16", 1): one_bf16, ("bf16", 4): four_bf16, ("tf32", 1): one_tf32, ("tf32", 4): four_tf32}[precision, vector]


@cache
def staging(precision: str, loader: Loader, lines: int, depth: int, threads: int) -> Strips:
    """How a block of so many threads brings strips of `lines` lines."""
    prepare, bring, slot, count, places, held = deal(loader, lines, depth // BYTES[precision], threads)
    at, write, vector = location(precision, lines, depth, loader.k_first), put(precision, loader.vector), loader.vector

    @device
    def finish(start, held):
        for n in range(count):
            line, k = slot(n)
            write(start + at(line, k), held, n * vector)
    return Strips(prepare, bring, finish, places, held)
