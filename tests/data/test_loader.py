"""Batches: every image once, the same for the same seed and epoch, from any place on; and distortions against scipy."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv.data import DataSet, Loader, Split
from tinygradconv.data.augment import Distort, affine


@pytest.fixture
def toy(rng):
    images = rng.integers(0, 256, (23, 6, 5, 2)).astype(np.uint8)
    split = Split(images, np.arange(23) % 3)
    return DataSet("toy", split, split, tuple("abc"), (100.0, 20.0), (50.0, 10.0))


def test_an_epoch_has_every_image_once_and_the_last_batch_is_smaller(toy):
    loader = Loader.training(toy, 8, seed=3)
    batches = list(loader.batches(0))
    assert len(loader) == len(batches) == 3 and [len(y) for _, y in batches] == [8, 8, 7]
    assert sorted(loader.order(0)) == list(range(23)) and batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int64
    order = loader.order(0)
    x = (toy.train.images[order].astype(np.float64) - [100, 20]) / [50, 10]
    np.testing.assert_allclose(np.concatenate([x for x, _ in batches]), x, rtol=1e-6, atol=1e-6)
    assert (np.concatenate([y for _, y in batches]) == order % 3).all()


def test_order_depends_on_the_seed_and_the_epoch_only(toy):
    loader = Loader.training(toy, 8, seed=3)
    assert (loader.order(1) == Loader.training(toy, 5, seed=3).order(1)).all()
    assert (loader.order(1) != loader.order(0)).any() and (loader.order(1) != Loader.training(toy, 8, seed=4).order(1)).any()
    assert (Loader.testing(toy).order(5) == np.arange(23)).all()


def test_no_two_batches_of_a_run_are_distorted_alike(toy):
    seen = []
    loader = Loader.training(toy, 8, 3, lambda x, key, step: seen.append((key, step)) or x)
    for epoch in range(3):
        list(loader.batches(epoch))
    assert len(set(seen)) == len(seen) == 9


@pytest.mark.parametrize("augment", [None, Distort(0.2, 0.1, 0.1, 1.0)])
def test_an_epoch_goes_on_in_its_middle_with_the_same_bits(toy, augment):
    loader = Loader.training(toy, 8, 3, augment)
    whole = list(loader.batches(2))
    for (x, y), (again_x, again_y) in zip(whole[1:], loader.batches(2, start=1), strict=True):
        assert x.tobytes() == again_x.tobytes() and (y == again_y).all()
    assert not list(loader.batches(2, start=3))


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_size_below_one_is_refused(toy, size):
    with pytest.raises(ValueError, match=f"Loader: batch_size must be at least 1, got {size}"):
        Loader.training(toy, size, seed=0)


def test_affine_leaves_alone_and_shifts_by_whole_pixels(rng):
    x = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
    unit = np.broadcast_to(np.eye(2), (2, 2, 2))
    np.testing.assert_array_equal(affine(x, unit, np.zeros((2, 2))), x)
    moved = affine(x, unit, np.array([[1, 0], [0, -2]]))
    np.testing.assert_array_equal(moved[0, :4], x[0, 1:])
    assert not moved[0, 4].any() and not moved[1, :, :2].any()
    np.testing.assert_array_equal(moved[1, :, 2:], x[1, :, :2])
    assert not affine(x, unit, np.full((2, 2), 99.0)).any()


def test_affine_is_scipys_with_zeros_around(rng):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = rng.normal(size=(3, 9, 7, 1)).astype(np.float32)
    matrices = np.eye(2) + rng.uniform(-0.4, 0.4, (3, 2, 2))
    shifts = rng.uniform(-2, 2, (3, 2))
    centre = np.array([4, 3])
    for image, matrix, shift, y in zip(x, matrices, shifts, affine(x, matrices, shifts)):
        padded = np.pad(image[..., 0].astype(np.float64), 20)                # so that scipy, too, goes to zero in a straight line
        offset = centre + shift + 20 - matrix @ (centre + 20)
        np.testing.assert_allclose(y[..., 0], ndimage.affine_transform(padded, matrix, offset, order=1)[20:29, 20:27], atol=1e-5)


def test_each_image_is_distorted_on_its_own_and_within_bounds():
    dot = np.zeros((50, 21, 21, 1), np.float32)
    dot[:, 10, 10] = 1
    moved = Distort(shift=3.0)(dot, key=7, step=0)
    rows, columns = (moved * np.arange(21)[:, None, None]).sum((1, 2, 3)), (moved * np.arange(21)[:, None]).sum((1, 2, 3))
    assert (np.abs(rows - 10) <= 3.001).all() and rows.std() > 1 and columns.std() > 1 and abs(np.corrcoef(rows, columns)[0, 1]) < 0.5
    turned = Distort(rotation=0.3)(dot, key=7, step=0)
    np.testing.assert_allclose(turned[:, 10, 10], 1, atol=1e-5)               # the centre stays where it is
    assert (Distort(shift=3.0)(dot, key=7, step=1) != moved).any()
