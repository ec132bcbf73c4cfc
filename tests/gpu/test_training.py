"""Trainings on the GPU, whose steps are captured: the bits, snapshots and errors of steps that are not (tests/train/test_captured.py)."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinygradconv import models
from tinygradconv.data import DataSet, Split
from tinygradconv.data.augment import Flip, Mixup, PadCrop
from tinygradconv.train import Callback, LossError, Recipe, Run, loop, train

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]
RECIPE = Recipe("sgd", 0.05, epochs=3, batch_size=64, options={"momentum": 0.9, "decay": 1e-4}, augment=PadCrop(4) >> Flip(), ema=0.9)


def photographs(dtype=np.uint8):
    """400 images of noise to learn from, in batches of 64 with a last one of 16, and 100 to be judged by."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (500, 32, 32, 3)).astype(dtype), rng.integers(0, 10, 500)
    return DataSet("noise", Split(images[:400], labels[:400]), Split(images[400:], labels[400:]), tuple("abcdefghij"), (125.0,) * 3,
                   (70.0,) * 3)


class Seen(Callback):
    """What a callback is told, and the training."""

    def __init__(self, end_at=None):
        self.told, self.end_at = [], end_at

    def looks(self):
        return False

    def begin(self, training):
        self.training = training

    def step(self, training, loss, images, correct):
        self.told.append((training.position.step, loss, images, correct))
        if training.position.step == self.end_at:
            raise KeyError("the end")


def trained(recipe, data, captured=True, **options):
    """(what the callback was told, all arrays of the state at the end, their counters)."""
    seen = options.pop("seen", Seen())
    learner, loop.learner = loop.learner, loop.learner if captured else lambda training: training
    try:
        train(models.get("resnet20")[0].build((32, 32, 3), seed=0).to("cuda"), data, recipe, seed=1, callbacks=[seen], **options)
    finally:
        loop.learner = learner
    state = seen.training.state()
    return seen.told, {f"{part}.{name}": array.tobytes() for part in ("model", "optimizer", "ema")
                       for name, array in getattr(state, part).items()}, (state.position.counter, state.position.correct)


WAYS = {"as it is": RECIPE, "clipped": replace(RECIPE, clip=0.5), "made on the host": replace(RECIPE, augment=Mixup(0.2)),
        "in parts": replace(RECIPE, accumulate=2, optimizer="adam", options={}, rate=1e-3)}


@pytest.mark.parametrize("recipe", WAYS.values(), ids=WAYS)
def test_captured_steps_are_the_others_to_the_bit(recipe, capsys):
    assert trained(recipe, photographs()) == trained(recipe, photographs(), captured=False)
    assert "not captured" not in capsys.readouterr().err


def test_it_goes_on_from_a_snapshot_to_the_same_bits(tmp_path):
    whole = trained(RECIPE, photographs())
    run = Run.create(tmp_path / "run", {})
    with pytest.raises(KeyError, match="the end"):
        trained(RECIPE, photographs(), seen=Seen(end_at=11), run=run, save_every=0.0)
    again = trained(RECIPE, photographs(), run=Run.open(tmp_path / "run"))
    assert again[1:] == whole[1:] and again[0] == whole[0][-len(again[0]):] and len(again[0]) in (10, 11)


def test_a_nan_is_found_and_nothing_is_learned_from_it():
    data = photographs(np.float32)
    images = data.train.images.copy()
    images[7] = np.nan
    data, ends = replace(data, train=replace(data.train, images=images)), []
    for captured in (True, False):
        seen = Seen()
        with pytest.raises(LossError, match="an image of the batch is nan at index .*Nothing was learned from this batch") as said:
            trained(RECIPE, data, captured, seen=seen)
        state = seen.training.state()
        ends.append((str(said.value), seen.told, {path: array.tobytes() for path, array in {**state.model, **state.optimizer}.items()}))
    assert ends[0] == ends[1]
