"""wgmma, emulated: a small product through a ring of copies is right, and each way to get it wrong is found."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.cuda.language import cuda, float32, kernel, ptx, uint16, uint32

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import InvalidAddress, KernelFault, LostCopy, Race, Stuck, Uninitialised, emulate

from .rounding import normal, rounded

# c (64, 8) = a (64, 64 · steps) · b (8, 64 · steps)ᵀ, 64 of k a step. In the ring one step is copied, one multiplied, the one before may
# still be, also by a warp that is late: it has not come to the barrier at which the others know that it is done; so there is a fourth.
STRIP = 72 * 64
RING = """
def product(x, c, steps):
    s = cuda.shared.array(0, uint16, alignment=1024)
    w, t = cuda.shared.array(0, uint32, alignment=1024), cuda.threadIdx.x
    sums = cuda.local.array(4, float32)
    for i in range(4):
        sums[i] = float32(0)
    for step in range(steps + 1):
        if step < steps:
            for n in range(t, STRIP // 8, 128):
                row = n // 8
                ptx.cp_async16(w, step % 4 * STRIP // 2 + row * 32 + (n % 8 ^ row % 8) * 4, x, step * STRIP // 2 + n * 4, 16)
        ptx.cp_commit()
        if step:
            ptx.cp_wait(1)
            ptx.fence_async()
            cuda.syncthreads()
            at = (step - 1) % 4 * STRIP
            ptx.wgmma_fence()
            for k in range(0, 64, 16):
                ptx.wgmma_bf16(8, sums, s, at + k, at + 64 * 64 + k)
            ptx.wgmma_commit()
            ptx.wgmma_wait(1)
    ptx.wgmma_wait(0)
    row, column = t // 32 * 16 + t % 32 // 4, t % 4 * 2
    for i in range(4):
        c[(row + i // 2 * 8) * 8 + column + i % 2] = sums[i]
"""
WAIT, FENCE, BARRIER = "            ptx.cp_wait(1)\n", "            ptx.fence_async()\n", "            cuda.syncthreads()\n"
PRODUCTS, LAST = "            ptx.wgmma_commit()\n            ptx.wgmma_wait(1)\n", "    ptx.wgmma_wait(0)\n"
MUTANTS = {
    "no wait for the copies": (WAIT, "", LostCopy),
    "no fence for the tensor cores": (FENCE, "", Race),
    "the fence before the wait": (WAIT + FENCE, FENCE + WAIT, Race),
    "the fence after the barrier": (FENCE + BARRIER, BARRIER + FENCE, Race),
    "no barrier": (BARRIER, "", KernelFault),
    "no fence for the sums": ("            ptx.wgmma_fence()\n", "", Race),
    "no wait for the products": (PRODUCTS, PRODUCTS.splitlines(keepends=True)[0], (LostCopy, Race, AssertionError)),
    "a ring of three": ("% 4 * STRIP", "% 3 * STRIP", (LostCopy, Race)),
    "sums that are not waited for": (LAST, "", LostCopy),
    "a wait for all but one": (LAST, LAST.replace("0", "1"), LostCopy),
    "no commit": ("            ptx.wgmma_commit()\n", "", LostCopy),
    "pieces that are not exchanged": ("(n % 8 ^ row % 8)", "n % 8", AssertionError),
    "the next k": ("at + 64 * 64 + k", "at + 64 * 64 + (k ^ 16)", AssertionError),
    "a memory that lies anywhere": (", alignment=1024", "", InvalidAddress),
    "a k in the middle of a piece": ("at + k,", "at + k + 8,", InvalidAddress),
    "sums of a width that is another": ("wgmma_bf16(8,", "wgmma_bf16(16,", InvalidAddress),
    "sums that hold nothing": ("        sums[i] = float32(0)", "        pass", Uninitialised),
    "a warp that stays away": ("ptx.wgmma_commit()", "ptx.wgmma_commit() if t < 96 else ptx.wgmma_wait(1)", Stuck),
}


def run(text, steps, threads=128):
    """The kernel of this text, checked against the product of rounded operands."""
    names = {"cuda": cuda, "ptx": ptx, "float32": float32, "uint16": uint16, "uint32": uint32, "STRIP": STRIP}
    exec(compile(text, "warpgroup.py", "exec"), names)
    made = kernel("x: uint32*, c: float32*, steps: int64", threads=threads, shared=4 * STRIP * 2)(names["product"])
    both = rounded(normal(np.random.default_rng(steps), steps, 72, 64), "bf16")                 # 64 rows of a, 8 of b, a step
    halves = (both.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    c = np.full((64, 8), np.nan, np.float32)
    emulate(made, 1, np.ascontiguousarray(halves).view(np.uint32).ravel(), c, steps)
    np.testing.assert_allclose(c, np.einsum("sik,sjk->ij", both[:, :64], both[:, 64:]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 5])
def test_a_ring_of_copies_and_products(steps):
    run(RING, steps)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    old, new, fault = MUTANTS[name]
    assert old in RING
    with pytest.raises(fault):
        run(RING.replace(old, new), 5)


def test_a_warpgroup_has_four_warps():
    with pytest.raises(Stuck, match="warpgroup of only 96 threads. Give the block a multiple of 128"):
        run(RING, 1, threads=96)
