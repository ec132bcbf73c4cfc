"""Batches made where the data set lies: images picked out by an order, changed by drawn numbers, normalised."""
from __future__ import annotations

import numpy as np

from .. import CHANGES
from ..random.reference import random_bits

CROP, FLIP, CUTOUT = CHANGES["crop"], CHANGES["flip"], CHANGES["cutout"]


def assemble(images, labels, order, place, changes, fills, mean, deviation, x, y, first, total):
    """x[n] = (change(images[k]) − mean) / deviation and y[n] = labels[k], for k = order[place[0] + n].

    CROP     the image gets a border of `amount` pixels of its fill, and of that h×w are cut out at a drawn place
    FLIP     the image is mirrored, left for right, where the drawn number is below `amount` · 2⁻⁵³
    CUTOUT   a square of amount × amount pixels around a drawn one becomes the fill

    Numbers are drawn as tinygradconv.ops.random draws float64, of the change's key and the step place[1], for a whole batch of `total`
    images, of which these are those from `first` on: the rows of an array (numbers, total), one or two for each image.

    images           (M, H, W, C) uint8 or float32
    labels, order    (M,) and (…,) int64
    place            (2,) int64: the first element of `order` that is used, and the step
    changes          (S, 7) int64: for each change kind, key (its 64 bits), amount, H and W before it, h and w after it
    fills            (S, C) float32
    mean, deviation  (C,) float32
    x, y             (N, h, w, C) float32 and (N,) int64, filled
    """
    chosen = order[place[0]:place[0] + len(x)]
    made, rows = images[chosen], slice(first, first + len(x))
    for (kind, key, amount, H, W, h, w), fill in zip(changes.tolist(), fills):
        drawn = whole_numbers(2, total, key, int(place[1]))[:, rows]
        if kind == FLIP:
            mirrored = drawn[0] < np.uint64(amount)
            made = np.where(mirrored[:, None, None, None], made[:, :, ::-1], made)
        elif kind == CROP:
            top, left = below(drawn[0], H + 2 * amount - h + 1), below(drawn[1], W + 2 * amount - w + 1)
            padded = np.empty((len(made), H + 2 * amount, W + 2 * amount, made.shape[3]), made.dtype)
            padded[...] = fill
            padded[:, amount:amount + H, amount:amount + W] = made
            n, i, j = np.ogrid[:len(made), :h, :w]
            made = padded[n, top[:, None, None] + i, left[:, None, None] + j]
        else:
            n, i, j = np.ogrid[:len(made), :H, :W]
            top, left = (below(numbers, size)[:, None, None] - amount // 2 for numbers, size in zip(drawn, (H, W)))
            inside = (i >= top) & (i < top + amount) & (j >= left) & (j < left + amount)
            made = np.where(inside[..., None], fill.astype(made.dtype), made)
    np.subtract(made, mean, out=x, dtype=np.float32)
    np.divide(x, deviation, out=x)
    y[...] = labels[chosen]


def whole_numbers(rows, count, key, step):
    """(rows, count) uint64, uniform in 0 … 2⁵³ − 1: element e is made of the random words 2e and 2e + 1."""
    words = np.empty(2 * rows * count, np.uint32)
    random_bits(words, key & 0xFFFFFFFFFFFFFFFF, step)
    words = words.astype(np.uint64).reshape(rows, count, 2)
    return words[..., 0] >> np.uint64(5) << np.uint64(26) | words[..., 1] >> np.uint64(6)


def below(drawn, limit):
    """Integers 0 … limit − 1, int64, all as likely as each other, of numbers that `whole_numbers` gave."""
    return np.minimum((drawn.astype(np.float64) * 2.0 ** -53 * limit).astype(np.int64), limit - 1)
