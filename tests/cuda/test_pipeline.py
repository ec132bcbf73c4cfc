"""A ring of asynchronous copies, as tile kernels use it, emulated: it is right, and each way to get it wrong is found."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.cuda.language import cuda, float32, kernel, ptx

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import KernelFault, LostCopy, Race, emulate

# y[t] = Σ over strips of x[strip, 63 − t]. Two strips are on their way while a third is read; one barrier a strip.
RING = """
def ring(x, y, strips):
    s = cuda.shared.array(192, float32, alignment=16)
    t = cuda.threadIdx.x
    for strip in range(2):
        if t < 16:
            ptx.cp_async16(s, strip * 64 + t * 4, x, strip * 64 + t * 4, 16 if strip < strips else 0)
        ptx.cp_commit()
    total = float32(0)
    for strip in range(strips):
        ptx.cp_wait(1)
        cuda.syncthreads()
        coming = strip + 2
        if coming < strips and t < 16:
            ptx.cp_async16(s, coming % 3 * 64 + t * 4, x, coming * 64 + t * 4, 16)
        ptx.cp_commit()
        total += s[strip % 3 * 64 + 63 - t]
    y[t] = total
"""
WAIT, BARRIER, COMMIT = "        ptx.cp_wait(1)\n", "        cuda.syncthreads()\n", "        ptx.cp_commit()\n        total"
COPY = """        coming = strip + 2
        if coming < strips and t < 16:
            ptx.cp_async16(s, coming % 3 * 64 + t * 4, x, coming * 64 + t * 4, 16)
"""
MUTANTS = {
    "no wait": (WAIT, "", LostCopy),
    "a wait that lets one more group be under way": (WAIT, WAIT.replace("1", "2"), LostCopy),
    "no barrier": (BARRIER, "", KernelFault),
    "the barrier before the wait": (WAIT + BARRIER, BARRIER + WAIT, KernelFault),
    "the copy before the barrier": (BARRIER + COPY, COPY + BARRIER, (LostCopy, Race)),
    "no group for a strip that is not there": (COMMIT, COMMIT.replace("ptx.", "if coming < strips: ptx."), LostCopy),
    "a ring of two": ("% 3", "% 2", (LostCopy, Race)),
    "copies of the strip after": ("coming * 64", "(coming + 1) * 64", KernelFault),
}


def run(text, strips):
    """The kernel of this text on so many strips; returns (y, what it should be)."""
    names = {"cuda": cuda, "ptx": ptx, "float32": float32}
    exec(compile(text, "ring.py", "exec"), names)
    made = kernel("x: float32*, y: float32*, strips: int64", threads=64)(names["ring"])
    x, y = np.random.default_rng(strips).integers(-99, 99, (strips, 64)).astype(np.float32), np.full(64, np.nan, np.float32)
    emulate(made, 1, x, y, strips)
    return y, x.sum(0)[::-1]


@pytest.mark.parametrize("strips", [1, 2, 3, 4, 7])
def test_a_ring_of_copies(strips):
    y, expected = run(RING, strips)
    assert (y == expected).all()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    old, new, fault = MUTANTS[name]
    assert old in RING
    with pytest.raises(fault):
        run(RING.replace(old, new), 5)
