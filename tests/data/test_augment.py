"""Augmentations of all kinds: shapes, order, repetition; crops, flips and cutouts against plain loops that try every outcome."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.data import Loader, Split
from tinygradconv.data.augment import (
    Chain,
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
    chain,
)
from tinygradconv.ops.random import key_of

from .augment_checks import evenly, likely

KEEPING_BYTES = [PadCrop(2), Flip(), Cutout(3), Flip(1.0) >> PadCrop(1) >> Cutout(2)]
MAKING_FLOATS = [Distort(0.2, 0.1, 0.1, 1.0), RandomResizedCrop(), ColorJitter(0.4, 0.4, 0.4),
                 Lighting((0.2, 0.1, 0.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
                 Normalize((100, 90, 80), (50, 60, 70)), PadCrop(1) >> ColorJitter(0.1)]
MIXING = [Mixup(), CutMix(), Flip() >> CutMix(0.5, 0.5) >> Mixup(1.0)]


def random_images(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("augment", KEEPING_BYTES + MAKING_FLOATS + MIXING, ids=str)
@given(N=st.integers(0, 5), H=st.integers(1, 9), W=st.integers(1, 9), key=st.integers(0, 2**64 - 1), step=st.integers(0, 2**40))
def test_any_batch_keeps_its_shape_and_the_argument_its_values(augment, N, H, W, key, step):
    images, labels = random_images(N, H, W, 3), np.eye(5, dtype=np.float32)[:N]
    before = images.copy()
    images.flags.writeable = False
    y, mixed = augment.batch(images, labels, key=key, step=step)
    assert y.shape == images.shape and y.dtype == (np.uint8 if augment in KEEPING_BYTES or augment == CutMix() else np.float32)
    assert (images == before).all() and np.isfinite(y).all() and mixed.shape == labels.shape and mixed.dtype == np.float32
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-6)
    again, mixed_again = augment.batch(images, labels, key=key, step=step)
    assert y.tobytes() == again.tobytes() and mixed.tobytes() == mixed_again.tobytes()


@pytest.mark.parametrize("augment", [*KEEPING_BYTES, *(one for one in MAKING_FLOATS if not isinstance(one, Normalize)), *MIXING], ids=str)
def test_another_key_and_another_step_draw_anew(augment):
    images, labels = random_images(6, 8, 8, 3), np.eye(6, dtype=np.float32)
    results = {augment.batch(images, labels, key=key, step=step)[0].tobytes() for key in (1, 2) for step in (0, 1)}
    assert len(results) == 4


def test_a_chain_is_its_steps_each_with_numbers_of_its_own():
    images = random_images(400, 2, 3, 1)
    twice = (Flip() >> Flip())(images, key=5, step=0)
    flipped = (twice[:, :, ::-1] == images).all((1, 2, 3))
    assert 140 < flipped.sum() < 260                                     # were the numbers the same, none would be
    assert (Flip() >> PadCrop(1)) >> Flip() == Flip() >> (PadCrop(1) >> Flip()) == Chain((Flip(), PadCrop(1), Flip())) == chain(
        [Flip(), PadCrop(1), Flip()])
    assert str(Flip() >> PadCrop(4)) == "Flip(probability=0.5) >> PadCrop(padding=4, size=None, fill=0)"
    fixed = Flip(1.0) >> Normalize((10,), (2,)) >> Flip(1.0)
    np.testing.assert_allclose(fixed(images, key=0, step=0), (images.astype(np.float64) - 10) / 2, rtol=1e-6)
    assert not Chain((Flip(),)).mixes and (Flip() >> Mixup()).mixes and Chain(())(images, key=0, step=0) is images


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_flip_mirrors_its_share_of_the_images(share):
    images = random_images(2000, 3, 4, 2)
    y = Flip(share)(images, key=3, step=9)
    mirrored = 0
    for image, got in zip(images, y):
        mirror = np.array([[image[i, 3 - j] for j in range(4)] for i in range(3)])
        assert (got == image).all() or (got == mirror).all()
        mirrored += (got == mirror).all()
    assert abs(mirrored - 2000 * share) <= 4 * np.sqrt(2000 * share * (1 - share))


@pytest.mark.parametrize(("padding", "size", "fill"), [(2, None, 0), (1, (3, 6), 7), (0, 2, 0), (3, (11, 9), 255)])
def test_a_crop_is_one_of_all_places_and_all_are_as_likely(padding, size, fill):
    H, W = 5, 4
    h, w = (H, W) if size is None else size if isinstance(size, tuple) else (size, size)
    images = random_images(3000, H, W, 2)
    if padding == 3:
        assert PadCrop(3, (H + 6, W + 6))(images, key=0, step=0).shape == (3000, H + 6, W + 6, 2)
        h, w = H + 5, W + 5
    y = PadCrop(padding, (h, w) if size else None, fill)(images, key=11, step=2)
    counts = np.zeros((H + 2 * padding - h + 1, W + 2 * padding - w + 1))
    assert y.shape == (3000, h, w, 2)
    for image, got in zip(images, y):
        padded = np.full((H + 2 * padding, W + 2 * padding, 2), fill, np.uint8)
        padded[padding:padding + H, padding:padding + W] = image
        (place,) = [(top, left) for top in range(counts.shape[0]) for left in range(counts.shape[1])
                    if (padded[top:top + h, left:left + w] == got).all()]
        counts[place] += 1
    assert likely(counts)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_cutout_is_a_square_around_any_pixel(size):
    H, W = 5, 4
    images = random_images(2000, H, W, 2)
    y = Cutout(size, (0, 0))(images, key=4, step=1)
    shapes = {}
    for row in range(H):
        for column in range(W):
            hole = np.zeros((H, W), bool)
            for i in range(row - size // 2, row - size // 2 + size):
                for j in range(column - size // 2, column - size // 2 + size):
                    if 0 <= i < H and 0 <= j < W:
                        hole[i, j] = True
            shapes[hole.tobytes()] = row, column
    counts = np.zeros((H, W))
    for image, got in zip(images, y):
        hole = (got == 0).all(-1)
        assert (got[~hole] == image[~hole]).all()
        counts[shapes[hole.tobytes()]] += 1
    assert likely(counts)


def test_a_cutout_has_a_value_for_each_channel():
    y = Cutout(99, (1, 2, 3))(random_images(2, 4, 4, 3), key=0, step=0)
    assert (y == [1, 2, 3]).all()
    assert (Cutout(99, -0.5)(np.ones((1, 2, 2, 1), np.float32), key=0, step=0) == -0.5).all()


def test_normalize_is_a_plain_loop():
    images = random_images(3, 2, 5, 3)
    mean, deviation = (120.5, 100.0, 7.0), (60.0, 2.5, 1.0)
    y = Normalize(mean, deviation)(images)
    for n, i, j, c in np.ndindex(images.shape):
        assert y[n, i, j, c] == (np.float32(images[n, i, j, c]) - np.float32(mean[c])) / np.float32(deviation[c])


def test_parts_of_photographs_have_the_areas_and_ratios_that_were_asked_for():
    H, W = 240, 320
    top, left, rows, columns = RandomResizedCrop().parts(4000, H, W, key=1, step=0)
    assert (top >= 0).all() and (left >= 0).all() and (top + rows <= H).all() and (left + columns <= W).all()
    area, ratio = rows * columns / (H * W), columns / rows
    assert area.min() > 0.075 and area.max() <= 1 and ratio.min() > 0.73 and ratio.max() < 1.36
    small = area < 0.5                                                          # these fit whatever their ratio
    inner = np.log(ratio[small])
    assert evenly(inner[np.abs(inner) < 0.25], -0.25, 0.25, bins=5)
    assert evenly(area[small], 0.08, 0.5, bins=10)
    assert evenly(top[small] / (H - rows[small]), 0, 1, bins=10) and evenly(left[small] / (W - columns[small]), 0, 1, bins=10)
    middle = RandomResizedCrop((1.0, 1.0), (1.0, 1.0)).parts(3, H, W, key=1, step=0)       # no square of the whole area fits
    assert (middle == np.array([[0], [40], [240], [240]])).all()


def test_a_part_of_a_photograph_is_enlarged_as_torch_does():
    torch = pytest.importorskip("torch")
    images = random_images(12, 17, 23, 3)
    crop = RandomResizedCrop()
    y = crop(images, key=8, step=3)
    for image, got, (top, left, rows, columns) in zip(images, y, crop.parts(12, 17, 23, key=8, step=3).T):
        part = torch.from_numpy(image[top:top + rows, left:left + columns].astype(np.float32).transpose(2, 0, 1))[None]
        expected = torch.nn.functional.interpolate(part, (17, 23), mode="bilinear", align_corners=False)[0].numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(got, expected, atol=1e-3)
    whole = RandomResizedCrop((1.0, 1.0), (23 / 17, 23 / 17))(images, key=8, step=3)
    np.testing.assert_array_equal(whole, images)


@pytest.mark.parametrize("augment", [*MAKING_FLOATS[:4], Flip() >> Distort(0.2, 0.1, 0.1, 1.0), Distort(0.2) >> Flip(), Flip()], ids=str)
def test_a_loader_normalises_on_the_way_with_the_bits_of_two_passes(augment, rng):
    images = rng.integers(0, 256, (10, 9, 8, 3)).astype(np.uint8)
    loader = Loader(Split(images, np.arange(10)), (100.0, 90.0, 80.0), (50.0, 60.0, 70.0), 4, 3, augment, workers=0)
    order, key = loader.order(2), key_of(3, "augmentation")
    for batch, (x, _) in enumerate(loader.batches(2)):
        made = augment(images[order[4 * batch:4 * batch + 4]], key=key, step=2 * 3 + batch)
        np.testing.assert_array_equal(x, (made - np.float32([100, 90, 80])) / np.float32([50, 60, 70]))


def test_a_distortion_too_large_for_numbers_says_so():
    with pytest.raises(ValueError, match=r"Distort\(.*scale=5000.0.*\) makes numbers too large for a float64. Use less scale"):
        Distort(scale=5000.0)(np.zeros((20, 4, 4, 1), np.uint8), key=0, step=0)
