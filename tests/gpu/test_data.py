"""Batches made on the GPU: those of the host's Loader, to the bit, eager and within a captured step."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import models
from tinygradconv.data import DeviceLoader, Loader, Split
from tinygradconv.data.augment import Cutout, Flip, PadCrop
from tinygradconv.train.optim import SGD

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]


def loader_of(augment, dtype=np.uint8, **options):
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (700, 32, 32, 3)).astype(dtype), rng.integers(0, 10, 700))
    return Loader(split, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7), 128, 5, augment, workers=0, **options)


@pytest.mark.parametrize("augment", [None, PadCrop(4) >> Flip(), Flip() >> Cutout(16, (1, 2, 3)) >> PadCrop(2, (24, 28), fill=9)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_batches_are_the_hosts(augment, dtype):
    loader = loader_of(augment, dtype)
    for (x, labels), (images, classes) in zip(DeviceLoader(loader).batches(1), loader.batches(1), strict=True):
        assert x.numpy().tobytes() == images.tobytes() and (labels.numpy() == classes).all()


def test_a_captured_step_that_makes_its_batches_learns_what_an_eager_one_learns_of_the_hosts():
    loader = loader_of(PadCrop(4) >> Flip(), drop_last=True)
    made, losses = DeviceLoader(loader), []
    for there in (True, False):
        model = models.get("resnet20")[0].build((32, 32, 3), seed=0).to("cuda")
        optimizer = SGD(model.parameters, momentum=0.9)

        def learn(x, labels, model=model, optimizer=optimizer):
            loss = tgc.cross_entropy(model(x, train=True), labels)
            optimizer.update(tgc.grad(loss, list(model.parameters.values()), retain_graph=False), 0.1)
            return loss
        step = tgc.capture(lambda place, learn=learn: learn(*made.batch(place)))
        for epoch in range(2):
            if there:
                losses += [step(place) for place in made.places(epoch)]
            else:
                losses += [learn(tgc.Tensor(x).to("cuda"), tgc.Tensor(labels).to("cuda")) for x, labels in loader.batches(epoch)]
    found = [loss.item() for loss in losses]
    assert np.isfinite(found).all() and found[:len(found) // 2] == found[len(found) // 2:]
