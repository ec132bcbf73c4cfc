"""`python -m benchmarks.peers.learning lenet5`: learn on both sides, print one table."""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tinygradconv as tgc
from tinygradconv.settings import get as setting

from ..__main__ import equal_threads
from ..torch_side import the_torch
from ..work import OURS, Options
from .case import CASES, Case, Progress
from .sides import OurSide, best_torch
from .table import as_json, table
from .turns import learn, turns

EXPLAINED = "Times are those of the steps alone: making the batches, the same for both, and the tests are in neither."


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.learning", description="Ours and PyTorch learn the same.")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--data-dir", metavar="ROOT", help="the folder that holds mnist/, …; default: TGC_DATA, then a cache folder")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=setting("threads"), help="on both sides (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="PyTorch also through torch.compile; the time that takes is not counted")
    parser.add_argument("--patience", type=int, default=300, metavar="SECONDS", help="for one torch.compile (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few made-up images, one epoch: to see that it runs")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the tests and times of both, again after every test")
    return parser.parse_args(given)


def made_up(case: Case) -> Any:
    """80 images of noise in the shape of the case's own."""
    from tinygradconv import data, models
    shape, draw = models.get(case.model)[1], np.random.default_rng(0)
    pairs = [(draw.integers(0, 256, (count, *shape)).astype(np.uint8), np.arange(count) % 10) for count in (80, 20)]
    return data.from_arrays(*pairs, name="noise")


def compare(case: Case, asked: argparse.Namespace, say: Callable[[str], object] = print) -> None:
    """Learn on both sides, and say what came of it."""
    from tinygradconv import data as data_sets
    from tinygradconv.data import Loader
    from tinygradconv.interop.files import write_whole
    from tinygradconv.train.recipes import recipe_named
    _, recipe = recipe_named(case.recipe, case.model, case.data)
    epochs = 1 if asked.quick else asked.epochs or recipe.epochs
    recipe = replace(recipe, epochs=epochs, batch_size=16 if asked.quick else recipe.batch_size)
    data = made_up(case) if asked.quick else data_sets.get(case.data, asked.data_dir)
    # Batches are made between the times that are taken, and by no thread that would go on beside a step.
    loader = Loader.training(data, recipe.batch_size, asked.seed, recipe.augment, workers=0)
    tests = list(Loader.testing(data, workers=0).batches())
    steps, options = epochs * len(loader), Options(asked.threads, 2 if asked.quick else 9, asked.compile, asked.patience, asked.quick)
    ours, spare = (OurSide(case, data, recipe, asked.seed) for _ in range(2))
    name, theirs, notes = best_torch(case, spare, recipe, steps, next(iter(loader.batches(0))), options)
    about = {"seed": asked.seed, "threads": asked.threads, "epochs": epochs, "steps": steps, "torch": the_torch().__version__}
    say("\n".join([f"{case.model} on {data.name}, recipe {case.recipe}, {epochs} epochs, {steps} steps of {recipe.batch_size} images, "
                   f"seed {asked.seed}, {asked.threads} threads, PyTorch {the_torch().__version__}", *notes]))
    progress = {OURS: Progress(), name: Progress()}

    def tell(progress: dict[str, Progress]) -> None:
        last = {side: at.tests[-1] for side, at in progress.items()}
        seen = "   ".join(f"{side} {one.accuracy:.2f} % in {one.seconds:.1f} s" for side, one in last.items())
        say(f"step {last[OURS].step}/{steps}: {seen}")
        if asked.json:
            write_whole(asked.json, (json.dumps(as_json(case, about, progress), indent=1) + "\n").encode())

    try:
        learn({OURS: ours, name: theirs}, turns(loader, epochs, case.turn, case.every), tests, steps, case.every, progress, tell)
    finally:
        say(f"\n{table(case, progress)}\n{EXPLAINED}")


def main(given: Sequence[str] | None = None) -> int:
    """The command; its exit status: 0, 2 without PyTorch, 130 after Ctrl-C."""
    asked = arguments(given)
    try:
        the_torch()
    except ImportError as problem:
        print(problem, file=sys.stderr)
        return 2
    try:
        with equal_threads(asked.threads), tgc.settings(threads=asked.threads):
            compare(CASES[asked.case], asked, lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
