"""`python -m benchmarks.peers gpu`: ours and PyTorch on one NVIDIA GPU, in one run, one table. Without a GPU it says why, and ends.

    gpu_time.py     how it is timed, and what must hold
    gpu_works.py    what is measured

Every row has its distance from what this GPU can do: FLOPs of matrix products by cuBLAS, bytes of a copy, measured first.
"""
from __future__ import annotations

import argparse
import gc
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from . import gpu_works as works
from .gpu_time import AMP, COMPILED, CUBLAS, EAGER, SAMPLES, Job, Limits, Row, Verdict, judge, medians
from .torch_side import the_torch
from .work import OURS

SECONDS = 240.0                          # after which no further work is begun
WIDTHS = (31, 10, 10, 10, 10, 10, 12, 9)
HEAD = ("work", "ours", "torch", "AMP", "compiled", "cuBLAS", "images/s", "of floor")
EXPLAINED = """\
Milliseconds, medians; "torch" as it comes, "AMP" in channels_last with autocast to bfloat16, "compiled" with mode="reduce-overhead".
of floor: the time that the FLOPs (F) or the bytes (C) of the work need on this GPU, by what was measured first, over ours."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers gpu", description="Ours and PyTorch on a GPU, one table.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="the works whose names this regular expression is found in")
    parser.add_argument("--list", action="store_true", help="name the works, and measure none")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each side (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="begin no further work after so many (default: %(default)s)")
    parser.add_argument("--no-compile", action="store_true", help="PyTorch without torch.compile")
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    parser.add_argument("--check", action="store_true", help="exit with status 1 where a bar is missed")
    return parser.parse_args(given)


def jobs(peers: bool, compiles: bool) -> Iterator[tuple[str, str, Callable[[], Job]]]:
    """(work, precision, what makes it), the quick ones first."""
    for precision in ("fp32", "tf32", "bf16"):
        yield "matmul 4096", precision, lambda precision=precision: works.product(4096, precision, peers)
    yield "matmul 4096 mma.sync", "bf16", lambda: works.product(4096, "bf16", peers, portable=True)
    for name in ("batch norm + relu", "max pool", "average pool", "add", "relu"):
        yield name, "fp32", lambda name=name: works.streamed(name, peers)
    for name, step in works.STEPS.items():
        yield f"step {name}", step.precision, lambda name=name: works.step(name, peers, compiles)


def limits_of(gpu: Any, torch: Any) -> Limits:
    """What this GPU can do. Without PyTorch there is no cuBLAS, so only the copy is measured."""
    size = 1 << 30
    source, target = (gpu.empty((size,), "uint8") for _ in range(2))
    copy = medians({OURS: lambda: gpu.driver.copy_within(target.pointer, source.pointer, size)}, gpu.synchronize, samples=5)
    flops = {}
    for precision, n in (("fp32", 4096), ("tf32", 8192), ("bf16", 8192)) if torch is not None else ():
        with works.torch_precision(precision):
            a = torch.randn(n, n, device="cuda").to(torch.bfloat16 if precision == "bf16" else torch.float32)
            flops[precision] = 2.0 * n ** 3 / medians({CUBLAS: lambda a=a: a @ a}, torch.cuda.synchronize, samples=5)[CUBLAS]
    return Limits(flops, 2.0 * size / copy[OURS])


def launch_seconds(gpu: Any, launches: int = 2000) -> float:
    """The host's time for one launch of a small kernel."""
    from tinygradconv.kernels.random.cuda import random_words
    bits, step, kernel = gpu.empty((4,), "uint32"), gpu.device.number(0, "uint64"), random_words()
    for count in (10, launches):
        gpu.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            gpu.device.launch(kernel, 1, bits, 4, 0, step, 0)
        taken = (time.perf_counter() - start) / count
    gpu.synchronize()
    return taken


def measure(gpu: Any, torch: Any, asked: argparse.Namespace, limits: Limits, say: Callable[[str], object]) -> tuple[list[Row], list[str]]:
    """(rows, what was not measured and why); each row is said as it is measured."""
    rows, problems, began = [], [], time.perf_counter()

    def synchronize() -> None:
        gpu.synchronize()
        if torch is not None:
            torch.cuda.synchronize()

    for work, precision, make in jobs(torch is not None, not asked.no_compile):
        name = f"{work} {precision}"
        if not re.search(asked.only, name):
            continue
        if time.perf_counter() - began > asked.seconds:
            problems.append(f"{name}: no time was left")
            continue
        try:
            with works.torch_precision(precision) if torch is not None else nullcontext():
                job = make()
                job.verify()
                taken = medians(job.sides, synchronize, asked.samples)
            rows.append(Row(work, precision, taken, job.floor, job.images, tuple(job.notes)))
            say(line(rows[-1], limits))
        except Exception as problem:                 # one work that fails must not take the others with it
            problems.append(f"{name}: {type(problem).__name__}: {str(problem).partition(chr(10))[0][:300]}")
            say(f"{name} was not measured; see below")
        job = None                                   # its memory is for the next
        gc.collect()
        gpu.allocator.release()
        if torch is not None:
            torch.cuda.empty_cache()
    return rows, problems


def cells(values: Sequence[str]) -> str:
    """Cells side by side: the first to the left, the others to the right."""
    return " ".join(value.ljust(width) if i == 0 else value.rjust(width) for i, (value, width) in enumerate(zip(values, WIDTHS))).rstrip()


def line(row: Row, limits: Limits) -> str:
    """One work."""
    share = limits.share(row.floor, row.precision, row.seconds[OURS])
    times = [f"{1e3 * row.seconds[side]:.3f}" if side in row.seconds else "" for side in (OURS, EAGER, AMP, COMPILED, CUBLAS)]
    return cells((row.name, *times, f"{row.images / row.seconds[OURS]:,.0f}" if row.images else "",
                  f"{100 * share[0]:.0f} % {share[1]}" if share else ""))


def bar_lines(verdicts: Sequence[Verdict]) -> str:
    """One line for each bar."""
    text = [f"{'what must hold':<46} {'against':<26} {'reached':>8} {'bar':>6}"]
    for verdict in verdicts:
        bar, value = verdict.bar, verdict.value
        text.append(f"{bar.says:<46} {bar.against:<26} {'' if value is None else f'{value:.2f}':>8} {bar.bar:>6}  {verdict.word}")
    return "\n".join(text)


def main(given: Sequence[str] | None = None) -> int:
    """The command: 0, 1 where something was not measured or --check found a bar missed, 2 without a GPU."""
    asked = arguments(given)
    if asked.list:
        print("\n".join(f"{work} {precision}" for work, precision, _ in jobs(False, False)))
        return 0
    from tinygradconv.backends import backend_named
    try:
        gpu: Any = backend_named("cuda")
    except RuntimeError as problem:
        print(f"nothing was measured: {problem}", file=sys.stderr)
        return 2
    torch = None
    try:
        torch = the_torch() if the_torch().cuda.is_available() else None
    except ImportError:
        pass
    beside = f"PyTorch {torch.__version__}" if torch is not None else "no PyTorch that can use the GPU"
    print(f"tinygradconv and {beside}, {gpu.driver.name}")
    limits = limits_of(gpu, torch)
    said = ", ".join(f"{precision} {rate / 1e12:.1f} TFLOP/s" for precision, rate in limits.flops.items())
    print(f"measured: {said + ', ' if said else ''}copy {limits.bandwidth / 1e12:.2f} TB/s; a launch takes "
          f"{1e6 * launch_seconds(gpu):.1f} µs of the host\n\n{cells(HEAD)}\n"
          f"{' '.join('-' * width for width in WIDTHS)}", flush=True)
    rows, problems = measure(gpu, torch, asked, limits, lambda text: print(text, flush=True))
    verdicts = judge(rows, limits)
    notes = [f"{row.name}: {note}" for row in rows for note in row.notes]
    print("\n".join(["", EXPLAINED, *notes, "", bar_lines(verdicts)]), flush=True)
    if asked.json:
        found = {"gpu": gpu.driver.name, "torch": getattr(torch, "__version__", None), "flops": dict(limits.flops),
                 "bandwidth": limits.bandwidth, "rows": [row.as_json(limits) for row in rows], "problems": problems,
                 "bars": [{"says": v.bar.says, "against": v.bar.against, "bar": v.bar.bar, "value": v.value, "word": v.word}
                          for v in verdicts]}
        Path(asked.json).write_text(json.dumps(found, indent=1) + "\n")
    if problems:
        print("\n".join(["\nnot measured:", *problems]), file=sys.stderr)
    return int(bool(problems) or (asked.check and any(verdict.word == "missed" for verdict in verdicts)))


if __name__ == "__main__":
    sys.exit(main())
