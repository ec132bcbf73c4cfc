"""Images sampled along other axes: each pixel of y is found at a place between the pixels of x that an affine map gives; random maps."""
from __future__ import annotations

import numpy as np


def warp(x, maps, boxes, mean, deviation, y, fill):
    """y[n, i, j] = x[n] at the place (row, column) = maps[n] · (i, j, 1), bilinearly between the four pixels around it.

    Outside an image all is `fill`: a place less than one pixel outside is between the two. With `boxes` places are first moved
    into boxes[n], by the shortest way. With `mean` and `deviation` what was found becomes (y − mean[c]) / deviation[c]. Places are
    float32; what depends on i alone is added up in float64.

    x                (N, H, W, C) uint8 or float32
    maps             (N, 2, 3) float64, finite
    boxes            (N, 4) float64: lowest row and column, highest row and column; or None
    mean, deviation  (C,) float32; or both None
    y                (N, h, w, C) float32; or uint8, rounded to the nearest (halves up), between 0 and 255, not normalised; filled
    fill             a number; it becomes a float32
    """
    (N, H, W, C), (h, w) = x.shape, y.shape[1:3]
    padded = np.full((N, H + 2, W + 2, C), fill, np.float32)          # a border of one pixel is all that is met of the outside
    padded[:, 1:-1, 1:-1] = x
    corners, shares = [], []
    for axis, size in enumerate((H, W)):
        low, high = (np.full((N, 1, 1), bound, np.float32) for bound in (0, size + 1))
        if boxes is not None:
            low, high = (np.clip(boxes[:, side] + 1, 0, size + 1).astype(np.float32).reshape(N, 1, 1) for side in (axis, axis + 2))
        with np.errstate(over="ignore", invalid="ignore"):            # far away is far away
            start = (maps[:, axis, :1] * np.arange(h) + (maps[:, axis, 2:] + 1)).astype(np.float32)
            place = start[:, :, None] + maps[:, axis, 1].astype(np.float32).reshape(N, 1, 1) * np.arange(w, dtype=np.float32)
            place = np.fmin(np.fmax(place, low), high)                # ∞ − ∞ is moved into the box too
        corners.append(np.minimum(place.astype(np.int64), size))
        shares.append((place - corners[-1].astype(np.float32))[..., None])
    n, (row, column), (down, right) = np.arange(N)[:, None, None], corners, shares
    top, bottom = padded[n, row, column], padded[n, row + 1, column]
    top = top + (padded[n, row, column + 1] - top) * right
    bottom = bottom + (padded[n, row + 1, column + 1] - bottom) * right
    sampled = top + (bottom - top) * down
    if y.dtype == np.uint8:
        y[...] = np.floor(np.clip(sampled, 0, 255) + np.float32(0.5))
    else:
        y[...] = sampled if mean is None else (sampled - mean) / deviation


def distortions(bits, maps, H, W, rotation, scale, shear, shift):
    """maps[n] = around the middle of an image: rotation(a) · shear(s) · diag(e^b, e^c), then a shift by (d, e); all six amounts random.

    An amount is its bound times an even number in [−1, 1), a multiple of 2⁻²³ made of the upper 24 bits of a word.

    bits   (6, N) uint32: for a (bound `rotation`, radians), b and c (`scale`), s (`shear`), d and e (`shift`, pixels)
    maps   (N, 2, 3) float64, filled: on (row, column, 1) of an image (H, W), as warp takes them
    """
    even = (bits >> np.uint32(8)) * 2.0 ** -23 - 1
    angle, down, across, slant, *shifts = even * np.array([rotation, scale, scale, shear, shift, shift])[:, None]
    with np.errstate(over="ignore", invalid="ignore"):                # too large a scale is found by whoever looks at the maps
        down, across, cosine, sine = np.exp(down), np.exp(across), np.cos(angle), np.sin(angle)
        maps[:, 0, 0], maps[:, 0, 1] = cosine * down, (cosine * slant + sine) * across
        maps[:, 1, 0], maps[:, 1, 1] = -sine * down, (cosine - sine * slant) * across
        middle = np.array([(H - 1) / 2, (W - 1) / 2])
        maps[:, :, 2] = np.stack(shifts, 1) - maps[:, :, :2] @ middle + middle
