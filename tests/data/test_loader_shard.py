"""Shards of a loader: put together, what the ranks get is the batch that one process gets, to the bit."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv.data import Loader, from_arrays
from tinygradconv.data.augment import (
    ColorJitter,
    CutMix,
    Cutout,
    Distort,
    Flip,
    Lighting,
    Mixup,
    Normalize,
    PadCrop,
    RandomResizedCrop,
)

LIGHTING = Lighting((0.2, 0.02, 0.01), ((0.6, 0.5, 0.6), (0.5, -0.8, 0.2), (0.6, 0.2, -0.7)))


def shifted(images, *, key, step):
    """A function of one's own: every image depends on the one before it."""
    return np.roll(images, 1, axis=0)


class Brighter(Flip):
    """An augmentation of one's own, which says nothing about where its numbers come from."""

    by_image = False

    def __call__(self, images, *, key, step):
        return images + np.arange(len(images), dtype=np.float32).reshape(-1, 1, 1, 1)


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (23, 9, 8, 3), dtype=np.uint8), np.arange(23) % 4
    return from_arrays((images, labels), (images[:5], labels[:5]))


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("augment", [
    None, (Flip(),), (PadCrop(2),), (PadCrop(1, 6),), (RandomResizedCrop(),), (Cutout(3),), (ColorJitter(0.4, 0.4, 0.4), Flip()),
    (LIGHTING,), (Distort(0.2, 0.2, 0.1, 1.0),), (Normalize((1.0, 2.0, 3.0), (1.0, 1.0, 2.0)), Flip()), (Flip(), Mixup(0.4)),
    (CutMix(), Flip()), shifted, (Brighter(), Flip())], ids=lambda augment: getattr(augment, "__name__", str(augment)))
def test_the_shards_are_the_rows_of_the_whole_batch(photographs, augment, size):
    whole = Loader.training(photographs, 10, 5, augment, workers=0)                # batches of 10, 10 and 3
    shards = [Loader.training(photographs, 10, 5, augment, workers=rank % 2, shard=(rank, size)) for rank in range(size)]
    for number, parts in enumerate(zip(whole.batches(1), *[loader.batches(1) for loader in shards], strict=True)):
        (x, labels), *parts = parts
        for array, column in ((x, 0), (labels, 1)):
            together = np.concatenate([part[column] for part in parts])
            assert together.dtype == array.dtype
            assert np.array_equal(together, array)
        starts = [loader.rows(number) for loader in shards]
        assert [last - first for first, last, _ in starts] == [len(part[0]) for part in parts]
        assert {total for *_, total in starts} == {len(x)}


def test_an_augmentation_that_draws_by_itself_would_be_noticed(photographs):
    class Wrong(Flip):
        def __call__(self, images, *, key, step):
            return images + np.random.default_rng(step).random(len(images), np.float32).reshape(-1, 1, 1, 1)
    whole = next(iter(Loader.training(photographs, 10, 5, Wrong()).batches()))[0]
    second = next(iter(Loader.training(photographs, 10, 5, Wrong(), shard=(1, 2)).batches()))[0]
    assert not np.array_equal(whole[5:], second)


def test_processes_make_the_same_shard(photographs):
    options = {"augment": (Flip(), LIGHTING), "shard": (1, 3)}
    here, there = (list(Loader.training(photographs, 12, 5, **options, **how).batches()) for how in ({"workers": 0}, {"processes": True}))
    assert all(np.array_equal(a, b) and np.array_equal(c, d) for (a, c), (b, d) in zip(here, there, strict=True))


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_none_is_refused(photographs, shard):
    with pytest.raises(ValueError, match=r"^Loader: (shard|rank|size)"):
        Loader.training(photographs, 10, 5, shard=shard)
