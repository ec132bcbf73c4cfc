"""CUDA kernels of assemble/, emulated, against the reference back end (which tests/data/test_device.py holds to the loader)."""
from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.assemble import cuda as kernels
from tinygradconv.kernels.assemble import reference
from tinygradconv.kernels.assemble.reference import CROP, CUTOUT, FLIP

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, KernelFault

from .mutants import mutant

DEVICE = EmulatedDevice()
HALF = 2 ** 52


def table(kinds, C, size=(11, 13)):
    """Changes of these kinds, with different keys, and a fill for each; the last crop cuts out 12 × 10. And the size after them."""
    rows, keys = [], iter([-2 ** 63, 2 ** 62 + 1, 12, -1])
    for i, kind in enumerate(kinds):
        after = (12, 10) if kind == CROP and CROP not in kinds[i + 1:] else size
        rows.append([kind, next(keys), {CROP: 2, FLIP: HALF, CUTOUT: 5}[kind], *size, *after])
        size = after
    fills = np.arange(1, 1 + len(rows) * C, dtype=np.float32).reshape(len(rows), C)
    return np.array(rows, np.int64).reshape(-1, 7), fills, size


def batch(made, dtype, kinds, C, N, first=0, total=0):
    rng = np.random.default_rng(0)
    images, labels, order = rng.integers(0, 256, (9, 11, 13, C)).astype(dtype), rng.integers(0, 5, 9), rng.permutation(9)
    mean, deviation = rng.uniform(50, 200, (2, C)).astype(np.float32)
    changes, fills, size = table(kinds, C)
    x, y = DEVICE.empty((N, *size, C), np.float32), DEVICE.empty((N,), np.int64)
    more = (DEVICE,) if made is not reference else ()
    made.assemble(*more, images, labels, order, np.array([3, 7]), changes, fills, mean, deviation, x, y, first, total or N)
    return x, y


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([CROP, FLIP, CUTOUT]), max_size=4), st.sampled_from([np.uint8, np.float32]), st.sampled_from([1, 3]),
       st.integers(0, 3))
def test_assemble(kinds, dtype, C, N):
    for got, expected in zip(batch(kernels, dtype, kinds, C, N, 2, N + 3), batch(reference, dtype, kinds, C, N, 2, N + 3), strict=True):
        assert (got == expected).all()


def test_an_image_of_more_than_a_block():
    """36 × 38 values of 1 channel are two blocks."""
    rng = np.random.default_rng(0)
    images, labels, order = rng.integers(0, 256, (2, 36, 38, 1)).astype(np.uint8), np.array([4, 5]), np.array([1, 0])
    place, changes, one = np.zeros(2, int), np.array([[FLIP, 1, HALF, 36, 38, 36, 38]]), np.ones(1, np.float32)
    for made, more in ((kernels, (DEVICE,)), (reference, ())):
        x, y = DEVICE.empty((2, 36, 38, 1), np.float32), DEVICE.empty((2,), np.int64)
        made.assemble(*more, images, labels, order, place, changes, one[None], one, one, x, y, 0, 2)
        if made is kernels:
            got = x
    assert (got == x).all() and y.tolist() == [5, 4]


def test_more_changes_than_a_block_draws_for_are_refused():
    with pytest.raises(ValueError, match="assemble: on a GPU there may be at most 32 changes of an image, got 33"):
        kernels.assemble(DEVICE, *[np.zeros((1, 1, 1, 1), np.uint8)] * 4, np.zeros((33, 7), np.int64), *[None] * 3,
                         np.zeros((1, 1, 1, 1), np.float32), None, 0, 1)


@pytest.mark.parametrize("old, new, fault", [
    ("        cuda.syncthreads()\n", "", KernelFault),
    ("j >= changes[at + 4]:", "j > changes[at + 4]:", (AssertionError, KernelFault)),
    ("b, down, right = whole(total + first + n,", "b, down, right = whole(first + n,", AssertionError),
    ("columns[s] <= j <", "columns[s] < j <", AssertionError),
    ("int32(changes[at + 4] - 1 - j)", "int32(changes[at + 4] - j)", (AssertionError, KernelFault)),
    ("if e < h * w * C:", "if e <= h * w * C:", (AssertionError, KernelFault))])
def test_mutants_are_found(old, new, fault):
    made = mutant(kernels, old, new)
    with pytest.raises(fault):
        for kinds in ([CROP, FLIP, CUTOUT], [FLIP, CROP]):
            got, expected = (batch(one, np.uint8, kinds, 3, 4) for one in (made, reference))
            assert (got[0] == expected[0]).all()


def test_a_loader_on_the_gpu_gives_the_hosts_batches(emulated):
    from tinygradconv.data import DeviceLoader, Loader, Split
    from tinygradconv.data.augment import Cutout, Flip, PadCrop
    pixels = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3)).astype(np.uint8)
    augment = PadCrop(2) >> Flip() >> Cutout(2)
    loader = Loader(Split(pixels, np.arange(7)), (120.0, 119.5, 99.0), (60.0, 50.5, 70.0), 3, 5, augment, workers=0)
    made = DeviceLoader(loader, "cuda")
    for (x, labels), (images, classes) in zip(made.batches(2), loader.batches(2), strict=True):
        assert x.device == labels.device == "cuda"
        assert x.numpy().tobytes() == images.tobytes() and (labels.numpy() == classes).all()
    loader = Loader(loader.split, loader.mean, loader.deviation, 3, 5, loader.augment, drop_last=True, workers=0)
    made = DeviceLoader(loader, "cuda")
    for place, (images, classes) in zip(made.places(2), loader.batches(2), strict=True):
        x, labels = made.batch(place)
        assert x.numpy().tobytes() == images.tobytes() and (labels.numpy() == classes).all()


def test_a_captured_step_makes_its_own_batches(gpu):
    """The place in the epoch is an argument of the step: one recording, and the loader's batches at every replay, epoch after epoch."""
    import tinygradconv as tgc
    from tinygradconv.backends.cuda.graph import sweep
    from tinygradconv.data import DeviceLoader, Loader, Split
    from tinygradconv.data.augment import Flip, PadCrop
    pixels = np.random.default_rng(0).integers(0, 256, (13, 6, 5, 3)).astype(np.uint8)
    augment = PadCrop(2) >> Flip()
    loader = Loader(Split(pixels, np.arange(13)), (120.0, 119.5, 99.0), (60.0, 50.5, 70.0), 3, 5, augment, drop_last=True, workers=0)
    made, runs = DeviceLoader(loader, "cuda"), []

    @tgc.capture
    def step(place):
        runs.append(place)
        x, labels = made.batch(place)
        return x + 0.0, labels + 0
    for epoch in range(3):
        for place, (images, classes) in zip(made.places(epoch), loader.batches(epoch), strict=True):
            x, labels = step(place)
            assert (x.numpy() == images).all() and (labels.numpy() == classes).all()
    assert len(runs) == 2
    del step
    gc.collect()
    sweep()


def test_a_training_on_the_gpu_takes_its_batches_from_there(gpu, monkeypatch):
    """An epoch and the tests, with the images there and with the host's, to the bit."""
    from tests.train import toy
    from tinygradconv.data.augment import Flip, PadCrop
    from tinygradconv.data.device import DeviceLoader
    from tinygradconv.train import Training, weights_of
    from tinygradconv.train import training as module
    recipe, ended = replace(toy.RECIPE, augment=PadCrop(1) >> Flip()), []
    for there in (True, False):
        if not there:
            monkeypatch.setattr(module, "on_device", lambda loader, device: loader)
        training = Training(toy.SPEC.build((7, 7, 1), seed=5).to("cuda"), toy.data(), recipe)
        assert (type(training.loader) is DeviceLoader) == (type(training.tester) is DeviceLoader) == there
        for x, labels in training.batches():
            training.step(x, labels)
        assert training.judge() and ("assemble" in gpu.ran) == there
        ended.append((training.position.loss_sum, training.position.correct, *weights_of(training.model).values()))
        gpu.ran.clear()
    for ours, theirs in zip(*ended, strict=True):
        assert np.array_equal(ours, theirs)
