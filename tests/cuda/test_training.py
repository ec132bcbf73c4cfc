"""Captured steps of a training with the GPU's own kernels, emulated: the losses, counts and weights are the CPU's."""
from __future__ import annotations

import gc

import numpy as np
import pytest

from tinygradconv.backends.cuda.graph import sweep
from tinygradconv.data import DataSet, Split
from tinygradconv.data.augment import Flip, PadCrop
from tinygradconv.spec import Dense, Flatten
from tinygradconv.train import Callback, Recipe, train
from tinygradconv.train.weights import weights_of

SPEC = Flatten() >> Dense(3)                    # what a step does beside the network: tests/cuda/test_steps.py has the layers


class Seen(Callback):
    """What a callback is told."""

    def __init__(self):
        self.losses, self.counts = [], []

    def looks(self):
        return False

    def step(self, training, loss, images, correct):
        self.losses.append(loss)
        self.counts.append((images, correct))


@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_training_is_the_cpus(emulated, clip):
    """A batch of 4 and one of 2, that are run as they are and then recorded."""
    rng, ends = np.random.default_rng(0), []
    pixels, labels = rng.integers(0, 256, (8, 2, 2, 1)).astype(np.uint8), np.arange(8) % 3
    data = DataSet("noise", Split(pixels[:6], labels[:6]), Split(pixels[6:], labels[6:]), tuple("abc"), (120.0,), (70.0,))
    recipe = Recipe("sgd", 0.1, epochs=2, batch_size=4, options={"momentum": 0.9}, augment=PadCrop(1) >> Flip(), clip=clip)
    for device in ("cpu", "cuda"):
        model, seen = SPEC.build((2, 2, 1), seed=1).to(device), Seen()
        train(model, data, recipe, seed=1, callbacks=[seen])
        ends.append((seen.losses, seen.counts, weights_of(model)))
    (expected, counts, weights), (found, counted, there) = ends
    assert [call[0] for call in emulated.driver.calls].count("start") == 2
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert counted == counts and len(counts) == 4
    for path, array in weights.items():
        np.testing.assert_allclose(there[path], array, rtol=2e-3, atol=1e-5, err_msg=path)
    gc.collect()
    sweep()
