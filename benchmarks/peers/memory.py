"""Peak memory of a training step: how much more of the machine's memory a process holds at the worst moment of its first steps.

Each side has a process of its own, as memory that one library gave back would serve the other. There, in this order: a step of a small
network, so that the libraries' own code, threads and tables are loaded and not counted; the model and its batch are made; the resident
memory is noted and the system's high-water mark reset to it; a few steps. What the mark rose by is the answer: everything that a
step needs beyond weights and images, which is activations, gradients, momentum, workspaces and packed weights, and what the
allocators waste. torch.compile is not a peer, as its compiler lives, and leaves memory, in the process that is measured.
"""
from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import tinygradconv as tgc

from .torch_side import LAYOUTS, the_torch, torch_weights
from .training import OurStep, TorchStep, our_model
from .work import MEBIBYTES, OURS, Measured, Options, Work

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {"resnet20": 128, "resnet18": 8}       # images in a batch
SMALL = ("resnet20", 2)
STEPS = 3
STATUS, MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(field: str) -> int:
    """Bytes of this process: VmRSS is what it holds now, VmHWM the most that it held since the mark was reset. OSError where not Linux."""
    (kilobytes,) = (line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith(field))
    return 1024 * int(kilobytes)


def make(side: str, name: str, batch: int) -> Callable[[], object]:
    """A training step of one side."""
    model = our_model(name)
    return OurStep(model, batch) if side == OURS else TorchStep(name, model, batch, torch_weights(model), LAYOUTS[side])


def rise(side: str, name: str, batch: int) -> int:
    """The bytes by which a few steps raise the memory of this process."""
    make(side, *SMALL)()
    step = make(side, name, batch)
    gc.collect()
    MARK.write_text("5")                          # the high-water mark becomes what is resident now
    before = resident("VmRSS")
    for _ in range(STEPS):
        step()
    return resident("VmHWM") - before


def in_own_process(side: str, name: str, batch: int, threads: int) -> int:
    """`rise` in a process that does nothing else."""
    command = [sys.executable, "-m", __name__, side, name, str(batch), str(threads)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"{name} of {side}: {answer.stderr.strip().splitlines()[-1]}")
    return json.loads(answer.stdout)


def works() -> list[Work]:
    """One for each network."""
    def measure(options: Options, name: str, batch: int) -> Measured:
        return Measured({side: in_own_process(side, name, batch, options.threads) / 2**20 for side in (OURS, *LAYOUTS)})

    return [Work(f"memory {name} b{batch}", lambda options, name=name, batch=batch: measure(options, name, batch), MEBIBYTES)
            for name, batch in NETWORKS.items()]


def main() -> None:
    """Print the bytes of one side."""
    parser = argparse.ArgumentParser(description="the bytes by which a few training steps raise this process's memory")
    parser.add_argument("side", choices=(OURS, *LAYOUTS))
    parser.add_argument("name")
    parser.add_argument("batch", type=int)
    parser.add_argument("threads", type=int)
    given = parser.parse_args()
    if given.side != OURS:
        the_torch().set_num_threads(given.threads)
    with tgc.settings(threads=given.threads):
        print(json.dumps(rise(given.side, given.name, given.batch)))


if __name__ == "__main__":
    main()
