"""Kills a training at random moments with signal 9, lets it go on until it ends, and compares the end with one that was never killed.

    python -m tests.train.kills 100 [--seed 0] [--threads 1,2] [--fork] [--images 1437] [--forget ema]

Half of the kills come by the clock, uniformly over the time that the whole training takes, from the start of Python on; half instead of
one of its calls to the disk (of a write: after half of it). A third of the runs are killed again on their way. A row is printed for every
run, and last `100 kills, 100 identical ends`; the exit code is 0 where all are. The same seed draws the same kills; where the clock's fall
depends on the machine.
"""
from __future__ import annotations

import argparse
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.train import killed
from tinygradconv.settings import settings
from tinygradconv.train.state import Snapshot

ROOT = Path(__file__).resolve().parent.parent.parent
AGAIN = 1 / 3                 # of the runs are killed a second time, of these a third time, …
LIMIT = 600                   # seconds that one sitting may take


@dataclass(frozen=True)
class Sitting:
    """How one process of a run went: its exit code, its seconds, its calls to the disk where it came to its end."""

    code: int
    seconds: float
    calls: int
    said: str


def sit(folder: Path, *, after: float | None = None, call: int = 0, threads: int = 1, forget: str | None = None,
        images: int | None = None, fork: bool = False) -> Sitting:
    """Train in the folder, or go on there; killed after so many seconds, or instead of a call to the disk, or never."""
    begun, asked = time.monotonic(), {"--call": call, "--forget": forget, "--images": images}
    arguments = [str(folder), *(f"{name}={value}" for name, value in asked.items() if value)]
    if fork:
        code, said = _forked(arguments, threads, folder.with_suffix(".said"))
    else:
        process = subprocess.Popen([sys.executable, "-m", "tests.train.killed", *arguments], cwd=ROOT, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        try:
            said, _ = process.communicate(timeout=LIMIT if after is None else after)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        code = process.returncode
    return Sitting(code, time.monotonic() - begun, int(said.split()[-2]) if code == 0 else 0, said)


def _forked(arguments: list[str], threads: int, into: Path) -> tuple[int, str]:
    """(exit code, what it wrote) of `killed` in a copy of this process, which has all that it imports, and has started no threads."""
    if (child := os.fork()) == 0:
        try:
            for stream in (1, 2):
                os.dup2(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
            with settings(threads=threads):
                os._exit(killed.main(arguments))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, into.read_text()


def end(folder: Path) -> dict[str, object]:
    """All that a finished run's folder holds, but for the seconds that it took."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    snapshots = {name: Snapshot.from_bytes(files.pop(name), name) for name in ("state.safetensors", "state.previous.safetensors")}
    newest = snapshots["state.safetensors"]
    log = files.pop("log.csv").decode()
    state = newest.state
    arrays = {f"{part}.{path}": a.tobytes() for part in ("model", "optimizer", "ema") for path, a in getattr(state, part).items()}
    rest = {"position": dataclasses.replace(state.position, seconds=0.0, waiting=0.0), "early stop": state.early_stop,
            "tuned": state.tuned, "config": newest.config, "best": newest.best}
    files.pop("state.json")                                # has the seconds; it is a function of state.safetensors, which follows
    return {**files, **arrays, **rest, "log": [line.rsplit(",", 1)[0] for line in log.splitlines()], "log in the state": newest.log == log,
            "state.json": newest.to_text((folder / "state.safetensors").read_bytes()) == (folder / "state.json").read_text(),
            "older": sorted(snapshots)}


def step_of(folder: Path) -> str:
    """The step from which a killed run will go on."""
    for name in ("state.safetensors", "state.previous.safetensors"):
        if (folder / name).exists():
            return f"step {Snapshot.from_bytes((folder / name).read_bytes(), name).state.position.step}"
    return "the start"


def train_killed(folder: Path, draw: random.Random, whole: Sitting, threads: list[int], **options: Any) -> list[str]:
    """Train in the folder with at least one kill, to the end; what was done, and where it went on. RuntimeError: a sitting failed."""
    said: list[str] = []
    while True:
        again = not said or draw.random() < AGAIN
        kill = {}
        if again and draw.random() < 0.5 and not options["fork"]:
            kill = {"after": draw.uniform(0, whole.seconds)}
        elif again:
            kill = {"call": draw.randint(1, whole.calls)}
        sitting = sit(folder, **kill, threads=draw.choice(threads), **options)
        if sitting.code == -signal.SIGKILL:
            moment = f"after {sitting.seconds:5.2f} s" if "after" in kill else f"at call {kill['call']:4d}"
            said.append(f"{moment} → {step_of(folder)}")
        elif sitting.code:
            raise RuntimeError(f"a sitting ended with {sitting.code}, after {'; '.join(said) or 'no kill'}:\n{sitting.said}")
        elif said:
            return said
        else:                                              # it had ended before its kill: it does not count
            for path in folder.iterdir():
                path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """The program; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.train.kills", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kills", type=int, metavar="N", help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--threads", default="1", help="how many threads a sitting may have, drawn for each; default: 1")
    parser.add_argument("--fork", action="store_true", help="copies of one process instead of new ones, killed at calls to the disk only: "
                                                            "quicker, and the same seed draws the very same kills")
    parser.add_argument("--images", type=int, help="how many of the digits are learned from; default: all")
    parser.add_argument("--forget", choices=killed.FORGET, nargs="+", default=[None],
                        help="plant a fault: snapshots forget this; of several each run's forget another, in turns")
    asked = parser.parse_args(arguments)
    draw, threads, identical, more = random.Random(asked.seed), [int(number) for number in asked.threads.split(",")], 0, 0
    with tempfile.TemporaryDirectory() as place:
        options = {"fork": asked.fork, "images": asked.images}
        whole = sit(Path(place) / "whole", threads=threads[0], **options)
        if whole.code:
            raise RuntimeError(f"the training fails without any kill:\n{whole.said}")
        expected = end(Path(place) / "whole")
        print(f"never killed: {whole.seconds:.2f} s, {whole.calls} calls to the disk", flush=True)
        for number in range(1, asked.kills + 1):
            folder = Path(place) / str(number)
            forget = asked.forget[(number - 1) % len(asked.forget)]
            moments = train_killed(folder, draw, whole, threads, forget=forget, **options)
            found = end(folder)
            differing = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
            identical, more = identical + (not differing), more + len(moments) - 1
            result = f"differs in {', '.join(differing)}" if differing else "identical"
            print(f"{number:4d}  {result}: {'; '.join(moments)}", flush=True)
    print(f"{more} runs were killed again on their way")
    print(f"{asked.kills} kills, {identical} identical ends")
    return identical != asked.kills


if __name__ == "__main__":
    sys.exit(main())
