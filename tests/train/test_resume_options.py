"""With any option of a recipe: a run that dies several times and goes on each time ends in the same bits as one that does not."""
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.train import toy
from tinygradconv.data.augment import CutMix, Flip, Mixup, PadCrop
from tinygradconv.train import Callback, Recipe, Run, train

SGD = replace(toy.RECIPE, epochs=3)


def by(optimizer: str, schedule: str = "cosine", options: dict | None = None, **more) -> Recipe:
    return Recipe(optimizer, 0.02, epochs=3, batch_size=8, options=options or {}, schedule=schedule, **more)


RECIPES = {
    "ema": replace(SGD, ema=0.8), "accumulate": replace(SGD, accumulate=3), "clip": replace(SGD, clip=0.5),
    "mixup": replace(SGD, augment=PadCrop(1) >> Flip() >> Mixup(0.4)), "early stop": replace(SGD, epochs=6, rate=1e-6, patience=2),
    "everything": replace(SGD, epochs=9, ema=0.8, accumulate=2, clip=0.5, augment=Flip() >> CutMix(), patience=2),
    "rmsprop, steps": by("rmsprop", "steps", {"momentum": 0.9, "centred": True}, schedule_options={"every": 1}),
    "adamw, one-cycle": by("adamw", "one-cycle", {"exclude": ("*.bias",)}),
    "adam, drops": by("adam", "drops", warm_up=0.3, warm_up_rate=0.01),
    "lars, polynomial": by("lars", "polynomial", {"decay": 0.01}, schedule_options={"power": 2.0}), "muon": by("muon", "constant"),
}


class Death(Exception):
    """What ends a run in the middle, without a word."""


class Dies(Callback):
    """After the update number `step`, before anybody is told of it."""

    def __init__(self, step: int) -> None:
        self.last = step

    def step(self, training, loss, images, correct):
        if training.position.step == self.last:
            raise Death


def sit(folder, recipe: Recipe, *callbacks: Callback, save_every: float = 0.0):
    run = Run.open(folder) if folder.exists() else Run.create(folder, {"recipe": recipe.to_json()})
    run.lock()
    try:
        return train(toy.SPEC.build((7, 7, 1), seed=5), toy.data(), recipe, seed=5, run=run, callbacks=callbacks, save_every=save_every)
    finally:
        run.close()


def end(folder) -> tuple:
    """All that must be the same: weights, the optimiser's and the mean's arrays, and the log but for the seconds."""
    run = Run.open(folder)
    state, problems = run.load()
    arrays = {f"{part}.{path}": a.tobytes() for part in ("model", "optimizer", "ema") for path, a in getattr(state, part).items()}
    position = replace(state.position, seconds=0.0, waiting=0.0)
    rows = [{**row, "seconds": ""} for row in run.log.rows()]
    return arrays, position, dict(state.early_stop), problems, rows, (folder / "best.safetensors").read_bytes()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_run_that_dies_and_goes_on_ends_in_the_same_bits(tmp_path, recipe):
    whole = sit(tmp_path / "whole", recipe, save_every=1e9)
    assert (whole.epoch < recipe.epochs) == (recipe.patience is not None), "it is to stop early where it can"
    for step in (1, 4, 7, 10):
        with pytest.raises(Death):
            sit(tmp_path / "torn", recipe, Dies(step), save_every=1e9 * (step == 7))               # from step 7 back to the epoch's start
    sit(tmp_path / "torn", recipe)
    assert end(tmp_path / "torn") == end(tmp_path / "whole")


def test_a_finished_run_that_stopped_early_stays_finished(tmp_path):
    recipe = RECIPES["early stop"]
    first = sit(tmp_path / "run", recipe)
    again = sit(tmp_path / "run", recipe, Dies(first.step + 1))
    assert replace(again, counter=0) == replace(first, counter=0)
