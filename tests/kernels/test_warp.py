"""Warping: hand numbers, scipy's affine_transform, torch's grid_sample; the Cython form against the definition, also far outside."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.warp import reference

from .variants import variants

MODULES = variants("warp")
EVERY = [reference, *MODULES]
SIZES = st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 28, 33, 70])
UNIT = np.array([[1.0, 0, 0], [0, 1, 0]])


def run(module, x, maps, boxes=None, fill=0.0, size=None, dtype=np.float32, mean=None, deviation=None):
    """One call into a poisoned array."""
    y = np.full((len(x), *(x.shape[1:3] if size is None else size), x.shape[3]), np.nan if dtype == np.float32 else 77, dtype)
    mean, deviation = (None if given is None else np.array(given, np.float32) for given in (mean, deviation))
    module.warp(x, np.ascontiguousarray(np.broadcast_to(maps, (len(x), 2, 3)), np.float64), boxes, mean, deviation, y, fill)
    return y


def images(N, H, W, C, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (N, H, W, C)).astype(dtype)


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("source", [np.uint8, np.float32])
def test_places_between_four_pixels_by_hand(module, source):
    x = np.array([[0, 100], [40, 240]], source).reshape(1, 2, 2, 1)

    def at(row, column, **options):
        return run(module, x, [[0, 0, row], [0, 0, column]], size=(1, 1), **options)[0, 0, 0, 0]
    assert [at(0, 0), at(0, 1), at(1, 0), at(1, 1)] == [0, 100, 40, 240]
    assert [at(0.5, 0), at(0, 0.25), at(0.5, 0.5), at(1, 0.75)] == [20, 25, 95, 190]
    assert [at(-0.5, 1), at(1.5, 1.5), at(-1, 0), at(2, 2), at(7, 7)] == [50, 60, 0, 0, 0]
    assert [at(-0.5, 1, fill=8.0), at(5, 5, fill=8.0), at(-1e9, 0, fill=8.0)] == [54, 8, 8]
    assert [at(0.5, 0.508, dtype=np.uint8), at(0, 0.125, dtype=np.uint8), at(0, 0.12, dtype=np.uint8)] == [96, 13, 12]
    assert at(5, -3, boxes=np.array([[0.0, 0.5, 0.5, 1]])) == 95 and at(0, 0, boxes=np.array([[1.0, 1, 1, 1]])) == 240


    normal = run(module, x, [[0, 0, 0.5], [0, 0, 0.5]], size=(1, 1), mean=[90], deviation=[2])
    assert normal.tolist() == [[[[2.5]]]]


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("C", "size"), [(1, (28, 28)), (3, (9, 70)), (5, (2, 1030)), (16, (33, 17))])
def test_normalised_on_the_way_it_has_the_bits_of_two_passes(module, dtype, C, size):
    random = np.random.default_rng(C)
    x, mean, deviation = images(3, 13, 21, C, dtype), random.normal(100, 50, C), random.uniform(0.1, 99, C)
    maps = UNIT + random.uniform(-0.3, 0.3, (3, 2, 3))
    apart = run(module, x, maps, size=size)
    np.testing.assert_array_equal(run(module, x, maps, size=size, mean=mean, deviation=deviation),
                                  (apart - mean.astype(np.float32)) / deviation.astype(np.float32))


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
def test_what_no_byte_holds_becomes_the_nearest_that_does(module):
    x = np.array([-3, 0.4, 254.6, 300, np.inf], np.float32).reshape(1, 1, 5, 1)
    assert run(module, x[:, :, :4], UNIT, dtype=np.uint8).ravel().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@given(N=st.integers(0, 3), H=SIZES, W=SIZES, C=st.sampled_from([1, 2, 3, 4, 9]), h=SIZES,
       w=st.sampled_from([1, 3, 16, 29, 511, 513, 1030]), boxed=st.booleans(), to_bytes=st.booleans(),
       seed=st.integers(0, 999), fill=st.sampled_from([0.0, 17.0]))
def test_the_compiled_form_is_the_references(module, dtype, N, H, W, C, h, w, boxed, to_bytes, seed, fill):
    random = np.random.default_rng(seed)
    x, maps = images(N, H, W, C, dtype), np.zeros((N, 2, 3))
    maps[:, :, :2], maps[:, :, 2] = np.diag([H / h, W / w]) + random.normal(0, 0.3, (N, 2, 2)), random.normal(0, 4, (N, 2))
    corners = np.sort(random.uniform(-3, 3 + max(H, W), (N, 2, 2)), axis=1)
    boxes = corners.reshape(N, 4) if boxed else None
    target = np.uint8 if to_bytes else np.float32
    got, want = (run(one, x, maps, boxes, fill, (h, w), target).astype(np.float64) for one in (module, reference))
    assert np.isfinite(got).all()
    # One rounding of a place more or less (multiply-add in one) moves it by some 2⁻²⁴ of the farthest place; bytes may round the other way.
    far = 1 + np.abs(maps).max(initial=0) * (h + w)
    np.testing.assert_allclose(got, want, rtol=0, atol=1 if to_bytes else 255 * 4 * far * 2.0 ** -24 + 1e-4)


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("amount", [1e6, 1e30, 1e308, np.inf, np.nan])
def test_however_far_a_place_is_it_is_outside(module, amount):
    """What is no number is refused before the kernel; should it come, it still reads nothing but the image."""
    x = images(2, 5, 6, 3, np.uint8)
    for axis in 0, 1:
        for entry in 0, 1, 2:
            maps = UNIT.copy()
            maps[axis, entry] = amount
            got = run(module, x, maps, fill=9.0)
            assert ((got >= 0) & (got <= 255)).all()
            if entry == 2 and np.isfinite(amount):
                assert (got == 9).all()


def test_a_small_batch_is_the_same_to_the_kernel_and_to_the_loader():
    from tinygradconv.data import loader
    source = (Path(__file__).resolve().parents[2] / "kernels" / "warp" / "cpu.pyx").read_text()
    assert 4 * int(re.search(r"SMALL = (\d+)", source)[1]) == loader.SMALL


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("N", [64, 83, 200])
def test_the_number_of_threads_changes_no_bit(module, dtype, N):
    """Of 83 images of 28×28 and of fewer they are shared out, of 200 not."""
    random = np.random.default_rng(3)
    x, maps, found = images(N, 28, 28, 1, dtype), UNIT + random.normal(0, 0.1, (N, 2, 3)), []
    try:
        for threads in 1, 2, 3:
            module.set_threads(threads)
            found += [run(module, x, maps, mean=[33], deviation=[78]), run(module, x, maps, dtype=np.uint8)]
    finally:
        module.set_threads(1)
    for got, want in zip(found[2:], found):
        np.testing.assert_array_equal(got, want)


def distorted(module, bits, H, W, *bounds):
    """One call of `distortions` into a poisoned array."""
    maps = np.full((bits.shape[1], 2, 3), np.nan)
    module.distortions(bits, maps, H, W, *bounds)
    return maps


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
def test_a_distortion_is_the_product_of_its_parts_around_the_middle(module):
    """The matrices of the parts multiplied out, of amounts that are spread over [−1, 1): 0 and 2³² − 1 are its ends."""
    bits = np.random.default_rng(0).integers(0, 2**32, (6, 50), np.uint32)
    bits[:, 0], bits[:, 1], bits[:, 2] = 0, 2**32 - 1, 2**31
    maps = distorted(module, bits, 9, 14, 0.3, 0.2, 0.5, 2.0)
    for (a, b, c, s, d, e), found in zip((bits >> 8).T.astype(float) / 2**23 - 1, maps):
        turn = np.array([[np.cos(0.3 * a), np.sin(0.3 * a)], [-np.sin(0.3 * a), np.cos(0.3 * a)]])
        matrix = turn @ [[1, 0.5 * s], [0, 1]] @ np.diag(np.exp([0.2 * b, 0.2 * c]))
        np.testing.assert_allclose(found[:, :2], matrix, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(found @ [4, 6.5, 1], [4 + 2 * d, 6.5 + 2 * e], rtol=1e-13)
    np.testing.assert_array_equal(maps[2], UNIT)                          # all amounts are 0


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
def test_no_distortion_and_no_images(module):
    bits = np.random.default_rng(1).integers(0, 2**32, (6, 5), np.uint32)
    np.testing.assert_array_equal(distorted(module, bits, 8, 7, 0.0, 0.0, 0.0, 0.0), np.broadcast_to(UNIT, (5, 2, 3)))
    assert distorted(module, bits[:, :0].copy(), 8, 7, 1.0, 1.0, 1.0, 1.0).shape == (0, 2, 3)


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
def test_the_identity_and_whole_pixels_change_no_bit(module):
    x = np.random.default_rng(0).normal(size=(2, 7, 70, 3)).astype(np.float32)
    np.testing.assert_array_equal(run(module, x, UNIT), x)
    moved = run(module, x, UNIT + [[0, 0, 2], [0, 0, -3]])
    np.testing.assert_array_equal(moved[:, :5, 3:], x[:, 2:, :-3])
    assert not moved[:, 5:].any() and not moved[:, :, :3].any()
    turned = run(module, x, [[0, 1, 0], [1, 0, 0]], size=(70, 7))
    np.testing.assert_array_equal(turned, x.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_places_are_scipys(module, dtype):
    ndimage, random = pytest.importorskip("scipy.ndimage"), np.random.default_rng(1)
    x, maps = images(4, 13, 21, 2, dtype), np.zeros((4, 2, 3))
    maps[:, :, :2], maps[:, :, 2] = np.eye(2) + random.uniform(-0.4, 0.4, (4, 2, 2)), random.uniform(-6, 6, (4, 2))
    for image, one, y in zip(x, maps, run(module, x, maps, fill=50.0, size=(17, 30))):
        for c in range(2):
            padded = np.pad(image[..., c].astype(np.float64), 60, constant_values=50)        # as scipy goes to 50 in a straight line
            expected = ndimage.affine_transform(padded, one[:, :2], one[:, 2] + 60, (17, 30), order=1)
            np.testing.assert_allclose(y[..., c], expected, atol=5e-3)


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize(("mode", "boxed"), [("zeros", False), ("border", True)])
def test_the_places_are_torchs(module, mode, boxed):
    torch, random = pytest.importorskip("torch"), np.random.default_rng(2)
    H, W = 11, 19
    x, maps = images(5, H, W, 3, np.float32), np.zeros((5, 2, 3))
    maps[:, :, :2], maps[:, :, 2] = np.eye(2) + random.uniform(-0.4, 0.4, (5, 2, 2)), random.uniform(-3, 3, (5, 2))
    rows, columns = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
    places = np.einsum("nak,kij->nija", maps, np.stack([rows, columns, np.ones((H, W))]))
    grid = torch.from_numpy(places[..., ::-1] / [(W - 1) / 2, (H - 1) / 2] - 1)
    expected = torch.nn.functional.grid_sample(torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64)), grid, "bilinear", mode,
                                               align_corners=True)
    boxes = np.tile([0.0, 0, H - 1, W - 1], (5, 1)) if boxed else None
    np.testing.assert_allclose(run(module, x, maps, boxes), expected.numpy().transpose(0, 2, 3, 1), atol=5e-3)
