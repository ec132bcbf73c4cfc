"""Mixed images and labels: labels that name every image tell who was mixed with whom, and how much; plain loops do the rest."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.data.augment import CutMix, Mixup
from tinygradconv.data.augment.draws import beta

from .augment_checks import likely


def read(labels: np.ndarray) -> list[tuple[int, float]]:
    """(partner, own weight) of each image, of the labels that np.eye(N) became."""
    found = []
    for n, row in enumerate(labels):
        others = [m for m in range(len(row)) if m != n and row[m]]
        assert len(others) <= 1
        found.append((others[0] if others else n, float(row[n])))
    return found


def test_mixup_is_a_weighted_mean_of_two(rng):
    images = rng.integers(0, 256, (40, 3, 4, 2)).astype(np.uint8)
    y, labels = Mixup(1.0).batch(images, np.eye(40, dtype=np.float32), key=5, step=1)
    pairs = read(labels)
    for n, (partner, own) in enumerate(pairs):
        np.testing.assert_allclose(y[n], own * images[n] + (1 - own) * images[partner].astype(np.float64), atol=1e-4)
    assert len({partner for partner, _ in pairs}) >= 39 and np.std([own for _, own in pairs]) > 0.2


def test_cutmix_replaces_a_box_and_weighs_by_area():
    images = np.zeros((60, 8, 12, 2), np.uint8) + np.arange(60, dtype=np.uint8).reshape(-1, 1, 1, 1)
    y, labels = CutMix().batch(images, np.eye(60, dtype=np.float32), key=5, step=1)
    assert y.dtype == np.uint8
    boxes = 0
    for n, (partner, own) in enumerate(read(labels)):
        foreign = np.argwhere(y[n, :, :, 0] != n)
        assert (y[n, ..., 0] == y[n, ..., 1]).all() and abs(own - (1 - len(foreign) / 96)) < 1e-6
        if len(foreign):
            (top, left), (bottom, right) = foreign.min(0), foreign.max(0) + 1
            assert len(foreign) == (bottom - top) * (right - left) and (y[n, top:bottom, left:right] == partner).all()
            boxes += 1
    assert boxes > 40


def test_boxes_of_cutmix_cover_what_the_weight_leaves():
    """Around a pixel in the middle nothing is lost: with α = 10⁵ all weights are ½, all boxes 45×45 of 64×64."""
    images = np.zeros((300, 64, 64, 1), np.uint8)
    images[1::2] = 1
    y, _ = CutMix(1e5).batch(images, np.eye(300, dtype=np.float32), key=0, step=0)
    areas = [changed for n in range(300) if (changed := int((y[n] != images[n]).sum()))]
    assert max(areas) <= 45 * 45 and max(areas) > 44 * 44


@pytest.mark.parametrize("mixing", [Mixup, CutMix])
def test_only_the_chosen_share_is_mixed(mixing):
    images, labels = np.random.default_rng(0).integers(0, 256, (1000, 6, 6, 1)).astype(np.uint8), np.eye(1000, dtype=np.float32)
    y, same = mixing(1.0, probability=0.0).batch(images, labels, key=1, step=0)
    assert (y == images).all() and (same == labels).all()
    _, mixed = mixing(1.0, probability=0.25).batch(images, labels, key=1, step=0)
    assert 150 < sum(own < 1 for _, own in read(mixed)) < 310


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0, 1000.0])
def test_weights_are_beta_distributed(alpha):
    values = beta(4000, alpha, key=9, step=4)
    assert (values >= 0).all() and (values <= 1).all()
    deviation = np.sqrt(1 / (4 * (2 * alpha + 1)))
    assert abs(values.mean() - 0.5) < 4 * deviation / np.sqrt(4000) and abs(values.std() / deviation - 1) < 0.05
    if alpha == 1:
        assert likely(np.histogram(values, 20, (0, 1))[0])
    stats = pytest.importorskip("scipy.stats")
    lower = values[values < 0.5]                    # near 1, where a small α has most of the others, floats are too few
    assert stats.kstest(lower, lambda x: 2 * stats.beta(alpha, alpha).cdf(x)).pvalue > 0.001


def test_a_weight_does_not_depend_on_how_many_are_drawn():
    np.testing.assert_array_equal(beta(100, 0.3, key=1, step=2)[:10], beta(10, 0.3, key=1, step=2))
    assert len(set(beta(10, 0.3, key=1, step=2)) | set(beta(10, 0.3, key=1, step=3)) | set(beta(10, 0.3, key=2, step=2))) == 30


def test_cross_entropy_of_mixed_labels_is_the_mix_of_two_losses(rng):
    classes = rng.integers(0, 5, 8)
    images, logits = rng.integers(0, 256, (8, 2, 2, 1)).astype(np.uint8), rng.normal(size=(8, 5))
    _, who = Mixup(1.0).batch(images, np.eye(8, dtype=np.float32), key=3, step=0)
    _, labels = Mixup(1.0).batch(images, np.eye(5, dtype=np.float32)[classes], key=3, step=0)
    partner, own = (np.array(values) for values in zip(*read(who)))
    each = [tgc.cross_entropy(logits, chosen, reduction="none").numpy() for chosen in (classes, classes[partner])]
    np.testing.assert_allclose(tgc.cross_entropy(logits, labels, reduction="none").numpy(), own * each[0] + (1 - own) * each[1], rtol=1e-5)
