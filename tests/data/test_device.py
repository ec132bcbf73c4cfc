"""Batches made on a device: those of the Loader, to the bit. Here the device is the CPU; tests/cuda has the kernels of a GPU."""
from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.data import Loader, Split
from tinygradconv.data.augment import Cutout, Distort, Flip, Mixup, Normalize, PadCrop
from tinygradconv.data.device import DeviceLoader, on_device

AUGMENTATIONS = [
    None, Flip(), Flip(1.0), PadCrop(2), Cutout(3), PadCrop(4) >> Flip() >> Cutout(4, fill=(7, 0, 255)), Flip(0.3) >> PadCrop(0, (5, 4)),
    PadCrop(3, (11, 6), fill=9) >> Cutout(5) >> PadCrop(1) >> Flip(0.9), Normalize((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
    (PadCrop(2), Flip(), Normalize((9.0, 8.0, 7.0), (3.0, 2.0, 1.0)))]


def loader_of(augment=None, dtype=np.uint8, batch_size=6, images=20, **options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 7, 9, 3)).astype(dtype)
    return Loader(Split(pixels, rng.integers(0, 4, images).astype(np.uint8)), (120.0, 119.5, 99.0), (60.0, 50.5, 70.0), batch_size, 5,
                  augment, workers=0, **options)


def equal(ours, theirs):
    for (x, labels), (images, classes) in zip(ours, theirs, strict=True):
        assert x.dtype == np.float32 and labels.dtype == np.int64
        assert x.numpy().tobytes() == images.tobytes() and (labels.numpy() == classes).all()


@pytest.mark.parametrize("augment", AUGMENTATIONS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_batches_are_the_loaders(augment, dtype):
    loader = loader_of(augment, dtype)
    made = DeviceLoader(loader, "cpu")
    assert len(made) == len(loader) == 4 and made.rows(3) == (0, 2, 2) and (made.order(1) == loader.order(1)).all()
    for epoch in (0, 3):
        equal(made.batches(epoch), loader.batches(epoch))
    equal(made.batches(1, start=2), loader.batches(1, start=2))


@given(st.integers(0, 2 ** 40), st.integers(0, 3), st.floats(0, 1), st.integers(1, 9), st.integers(0, 50))
def test_whatever_is_drawn(seed, padding, probability, size, epoch):
    augment = PadCrop(padding) >> Flip(probability) >> Cutout(size)
    loader = Loader(loader_of().split, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 9, seed, augment, workers=0)
    equal(DeviceLoader(loader, "cpu").batches(epoch), loader.batches(epoch))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_shards_are_the_loaders(rank):
    loader = loader_of(PadCrop(2) >> Flip(), shard=(rank, 3))
    equal(DeviceLoader(loader, "cpu").batches(1), loader.batches(1))


def test_without_a_seed_images_come_in_their_order():
    loader = Loader(loader_of().split, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 7, workers=0)
    equal(DeviceLoader(loader, "cpu").batches(), loader.batches())


def test_a_batch_is_made_at_a_place_of_its_epoch():
    loader = loader_of(PadCrop(2) >> Flip(), drop_last=True)
    made = DeviceLoader(loader, "cpu")
    for epoch, start in ((0, 0), (2, 1)):
        equal((made.batch(place) for place in made.places(epoch, start)), loader.batches(epoch, start))


def test_batches_of_two_sizes_have_no_place():
    with pytest.raises(ValueError, match=re.escape("DeviceLoader.batch: the last batch of an epoch has 2 images, the others 6. Give the "
                                                   "Loader drop_last=True, or take batches()")):
        made = DeviceLoader(loader_of(), "cpu")
        made.batch(next(made.places()))


@pytest.mark.parametrize("augment, said", [
    (Distort(0.1), "Distort(rotation=0.1"), (PadCrop(1) >> Mixup(), "Mixup("), (lambda images, key, step: images, "a function of your own"),
    (Normalize((1.0,) * 3, (1.0,) * 3) >> Flip(), "Normalize(")])
def test_what_is_made_on_the_host_is_named(augment, said):
    rest = r".* is made on the host\. On a device there are PadCrop, Flip and Cutout, and a Normalize after them; for others take"
    with pytest.raises(TypeError, match=re.escape(f"DeviceLoader: {said}") + rest):
        DeviceLoader(loader_of(augment), "cpu")


@pytest.mark.parametrize("augment, said", [
    (PadCrop(1, 40), "PadCrop: size 40×40 is larger than the padded image, 9×11"), (PadCrop(1, fill=0.5), "PadCrop: fill must be a whole"),
    (Cutout(2, fill=(1, 2)), "Cutout: fill must have one number for each of 3 channels"), (Cutout(2, fill=256), "Cutout: fill must be")])
def test_augmentations_that_do_not_fit_say_what_they_say_of_a_batch(augment, said):
    for make in (lambda loader: DeviceLoader(loader, "cpu"), lambda loader: list(loader.batches())):
        with pytest.raises(ValueError, match=said):
            make(loader_of(augment))


def test_on_the_cpu_a_loader_is_its_own():
    loader = loader_of()
    assert on_device(loader, "cpu") is loader
