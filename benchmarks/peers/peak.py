"""What this machine can do, measured in the same run as everything else: multiply-adds a second, and bytes copied a second.

A library cannot tell its own distance from the machine's limits, so the multiply-adds are counted in a loop that does nothing else:
twelve independent chains of them in registers, more than any processor keeps in flight. The loop is C, compiled here and now for this
processor; where there is no C compiler, the fastest matrix product that NumPy manages stands in for it, as a lower bound.
"""
from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = """
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define CHAINS 12
typedef float vector __attribute__((vector_size(BYTES)));

/* The multiply-adds of one round. */
long fused_per_round(void) { return CHAINS * (long)(BYTES / sizeof(float)); }

/* a = a b + c in every chain, `rounds` times; the values approach c / (1 - b), neither infinite nor denormal. */
float chains(long rounds, float b, float c) {
    vector a[CHAINS], total = {0};
    for (int i = 0; i < CHAINS; i++) a[i] = total + (float)i;
    for (long round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * b + c;
    for (int i = 0; i < CHAINS; i++) total += a[i];
    return total[0];
}
"""
FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-funroll-loops", "-shared", "-fPIC"]
ROUNDS = 5_000_000            # some 20 ms
COPIED = 1 << 27              # bytes, beyond the caches
REPEATS = 12


@dataclass(frozen=True)
class Machine:
    """FLOPs and copied bytes a second, a byte that is read and written counting twice; `note` says where a number is not the real one."""

    flops: float
    bandwidth: float
    threads: int
    note: str = ""

    def __str__(self) -> str:
        return (f"{self.threads} thread{'s' * (self.threads > 1)}: {self.flops / 1e9:.0f} GFLOP/s of multiply-adds, "
                f"{self.bandwidth / 1e9:.1f} GB/s copied{self.note}")


def examine(threads: int) -> Machine:
    """Measure this machine with `threads` threads."""
    chains = compiled_chains()
    if chains is None:
        return Machine(fastest_product(), copied(threads), threads, " (no C compiler: the first is NumPy's fastest product, a lower bound)")
    function, fused = chains
    seconds = together(threads, lambda part: function(ROUNDS, 0.999, 0.001))
    return Machine(2.0 * fused * ROUNDS * threads / seconds, copied(threads), threads)


def compiled_chains() -> tuple[Callable[..., float], int] | None:
    """(the loop of SOURCE, its multiply-adds per round), or None where there is no C compiler that makes it."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(SOURCE)
        if subprocess.run([compiler, *FLAGS, str(source), "-o", str(library)], capture_output=True).returncode:
            return None
        loaded = ctypes.CDLL(str(library))
    loaded.chains.argtypes, loaded.chains.restype = (ctypes.c_long, ctypes.c_float, ctypes.c_float), ctypes.c_float
    loaded.fused_per_round.restype = ctypes.c_long
    return loaded.chains, loaded.fused_per_round()


def together(threads: int, work: Callable[[int], object]) -> float:
    """The fewest seconds that `threads` threads took to do work(0), work(1), … at once; the work must let go of Python's lock."""
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(REPEATS + 1):                            # the first starts the threads
            start = time.perf_counter()
            list(pool.map(work, range(threads)))
            best = min(best, time.perf_counter() - start)
    return best


def copied(threads: int) -> float:
    """Bytes read and written a second when each thread copies its part of a large array."""
    source, target = (np.ones(COPIED // 4, np.float32) for _ in range(2))
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads)))
    return 2 * COPIED / together(threads, lambda part: np.copyto(parts[part][1], parts[part][0]))


def fastest_product() -> float:
    """FLOPs a second of NumPy's product of two matrices of 1024×1024."""
    a = np.ones((1024, 1024), np.float32)
    return 2 * 1024**3 / together(1, lambda part: a @ a)
