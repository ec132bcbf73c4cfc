"""Slowdowns to plant, so that the gate can be seen to find them: a tenth of a work's time, wasted in a kernel or in the dispatch.

The waste is planted in the sources of a commit, where somebody would make it: `busy` is a superfluous loop, of which callgrind counts
every turn; `stalled` waits for the processor in a few instructions, as code that misses its caches does, and shows in times alone.
"""
from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .build import Commit, GateError, git

BODIES = {"busy": "", "stalled": "pause"}
# Each product needs the one before, so a turn takes as long wherever the compiler puts it.
WASTE = ('static void waste(long turns) {{ unsigned long x = 1; '
         'for (long i = 0; i < turns; i++) {{ x = x * 6364136223846793005u + i; __asm__ volatile ("{body}" : "+r"(x)); }} }}')


class Plant(NamedTuple):
    """Where to waste time: the work that is to take a tenth longer, and the kind of waste; in dispatch always a loop of Python's."""

    work: str
    kind: str

    @property
    def only(self) -> str:
        """What the names of the works have in common that the gate is asked to compare: those of one layer, or of dispatch."""
        return self.work.partition(" " if self.work.startswith("dispatch") else ":")[0]


PLANTS = [Plant(work, kind) for kind in BODIES for work in (
    "conv resnet20_3x3_16: forward", "conv resnet_3x3_64_56: grad-weight", "matmul 64x256x256: forward",
    "pool resnet_max_3x3_stride_2: forward")] + [Plant("dispatch tanh: unrecorded", "busy")]

TRACE = """
import sys
from benchmarks.gate.kernel import last_kernel
from benchmarks.gate.works import WORKS
print(*last_kernel(WORKS[sys.argv[1]]()))
"""


def planted(plant: Plant, commit: Commit, seconds: float, clone: Path) -> str:
    """A commit in `clone`, checked out at `commit`, that wastes a tenth of `seconds` in each call of the plant's work; returns its hash."""
    git(clone, "checkout", "--quiet", "--force", commit.name)
    if plant.work.startswith("dispatch"):
        _plant_in_dispatch(clone / "tinygradconv" / "primitive.py", seconds / 10)
    else:
        done = subprocess.run([*commit.python("x")[:2], "-c", TRACE, plant.work], env=commit.environment(), capture_output=True, text=True)
        if done.returncode:
            raise GateError(f"{plant.work}: {done.stderr}")
        folder, kernel = done.stdout.split()
        turns = round(seconds / 10 / _seconds_a_turn(plant.kind))
        _plant_in_kernel(clone / "kernels" / folder, kernel, turns, plant.kind)
    git(clone, "-c", "user.name=gate", "-c", "user.email=gate@localhost", "commit", "--quiet", "--all", "--message", f"waste: {plant}")
    return git(clone, "rev-parse", "HEAD").decode().strip()


def _plant_in_kernel(folder: Path, kernel: str, turns: int, kind: str) -> None:
    """Waste at the beginning of the kernel's body, after its docstring."""
    sources = [path for path in folder.glob("*.p[yx][xi]") if f"\ndef {kernel}(" in path.read_text()]
    if len(sources) != 1:
        raise GateError(f"{folder.name}: no single file with 'def {kernel}(', to plant in")
    text = sources[0].read_text()
    declared = f'cdef extern from *:\n    """\n    {WASTE.format(body=BODIES[kind])}\n    """\n    void waste(long turns) nogil\n\n\n'
    head = re.search(rf'^(?:@[^\n]*\n)*def {kernel}\((?:[^"]*?)\):\n\s+""".*?"""\n', text, re.M | re.S)     # decorators stay on it
    if head is None:
        raise GateError(f"{sources[0].name}: {kernel} has no docstring to plant after")
    sources[0].write_text(text[:head.start()] + declared + text[head.start():head.end()] + f"    waste({turns})\n" + text[head.end():])


def _plant_in_dispatch(source: Path, seconds: float) -> None:
    """A loop at the beginning of each call of an op; the work makes thirty."""
    begin = time.process_time()
    for _ in range(1_000_000):
        pass
    turns = round(seconds / 30 / (time.process_time() - begin) * 1e6)
    text = source.read_text()
    head = re.search(r'^    def __call__\(self, \*inputs[^\n]*\n        """.*?"""\n', text, re.M | re.S)
    if head is None:
        raise GateError(f"{source.name}: no Primitive.__call__ with a docstring, to plant in")
    source.write_text(text[:head.end()] + f"        for _ in range({turns}):\n            pass\n" + text[head.end():])


def _seconds_a_turn(kind: str) -> float:
    """How long one turn of the waste takes on this processor: the quickest of some measurements."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "waste.c"), Path(folder, "waste.so")
        source.write_text(WASTE.format(body=BODIES[kind]).replace("static ", ""))
        subprocess.run(["cc", "-shared", "-fPIC", "-O3", str(source), "-o", str(made)], check=True)
        waste, times = ctypes.CDLL(str(made)).waste, []
        waste.argtypes = [ctypes.c_long]
        for _ in range(20):
            begin = time.process_time()
            waste(50_000)
            times.append(time.process_time() - begin)
        return min(times) / 50_000
