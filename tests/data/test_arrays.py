"""Data sets of one's own arrays: what is taken, what is refused, and the numbers of normalisation."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.data import from_arrays
from tinygradconv.data.statistics import CHUNK, mean_and_deviation


def pair(n=4, shape=(6, 5, 3), dtype=np.uint8, labels=(0, 1, 2, 1)):
    return np.arange(n * int(np.prod(shape))).reshape(n, *shape).astype(dtype), np.array(labels)


def test_bytes_stay_bytes_and_classes_are_counted():
    found = from_arrays(pair(), pair(2, labels=(0, 3)))
    assert found.train.images.dtype == np.uint8 and found.test.labels.dtype == np.int64 and found.classes == ("0", "1", "2", "3")
    assert found.name == "arrays" and found.input_shape == (6, 5, 3)
    named = from_arrays(pair(), pair(), classes=["cat", "dog", "eel"], name="pets")
    assert named.classes == ("cat", "dog", "eel") and named.name == "pets"


def test_grey_images_need_no_axis_of_channels_and_doubles_become_floats():
    found = from_arrays(pair(shape=(6, 5), dtype=np.float64), pair(shape=(6, 5), dtype=">f4"))
    assert found.input_shape == (6, 5, 1) and found.train.images.dtype == found.test.images.dtype == np.float32
    assert found.train.images.ravel().tolist() == found.test.images.ravel().tolist() == list(range(120))


def spoilt(images=lambda x: x, labels=lambda y: y, dtype=np.uint8):
    x, y = pair(dtype=dtype)
    return images(x), labels(y)


def put(at, value):
    def change(x):
        x = x.copy()
        x[at] = value
        return x
    return change


@pytest.mark.parametrize(("given", "kind", "said"), [
    ((1,), TypeError, r"arrays: train must be a pair \(images, labels\), got tuple"),
    (spoilt(images=lambda x: x.tolist()), TypeError, r"arrays: train images must be a NumPy array, got list"),
    (spoilt(images=lambda x: x.astype(object)), ValueError, r"train images must be numbers, got dtype object"),
    (spoilt(images=lambda x: x > 3), ValueError, r"train images must be numbers, got dtype bool"),
    (spoilt(images=lambda x: x.astype(np.int64)), ValueError, r"train images must be uint8, float32 or float64, got int64\. Use \.astype"),
    (spoilt(images=lambda x: x[0, 0]), ValueError, r"train images must have shape \(N, H, W, C\), or \(N, H, W\).*, got \(5, 3\)"),
    (spoilt(images=lambda x: x[:, :0]), ValueError, r"train images must have shape .*, got \(4, 0, 5, 3\)"),
    (spoilt(images=lambda x: x.transpose(0, 3, 1, 2)), ValueError, r"\(4, 3, 6, 5\) look channels-first: use \.transpose\(0, 2, 3, 1\)"),
    (spoilt(images=put((1, 2, 3, 0), np.nan), dtype=np.float32), ValueError, r"images must be finite, got nan at position \(1, 2, 3, 0\)"),
    (spoilt(images=put((1, 2, 3, 0), -np.inf), dtype=np.float64), ValueError, r"got -inf at position \(1, 2, 3, 0\)"),
    (spoilt(images=put((1, 2, 3, 0), 1e39), dtype=np.float64), ValueError, r"must fit float32, and the largest is 1e\+39"),
    (spoilt(labels=lambda y: y.tolist()), TypeError, r"train labels must be a NumPy array, got list"),
    (spoilt(labels=lambda y: np.array([0, 1, np.nan, 1])), ValueError, r"train labels must be finite, got nan at position \(2,\)"),
    (spoilt(labels=lambda y: y * 1.0), ValueError, r"train labels must be integers, got float64\. Use \.astype\(np\.int64\)"),
    (spoilt(labels=lambda y: np.array(["cat"] * 4)), ValueError, r"train labels must be numbers, got dtype <U3"),
    (spoilt(labels=lambda y: np.eye(4)[y]), ValueError, r"train labels must have shape \(N,\), got \(4, 4\)\. Use \.argmax\(1\)"),
    (spoilt(labels=lambda y: y[:, None]), ValueError, r"got \(4, 1\)\. Use \.ravel\(\)"),
    (spoilt(labels=lambda y: y - 1), ValueError, r"train labels must be at least 0, got -1 at position 0"),
    (spoilt(labels=lambda y: y.astype(np.uint64) + np.uint64(2**63)), ValueError, r"must fit int64, got 9223372036854775810 at position 2"),
    (spoilt(labels=lambda y: y + 1), ValueError, r"training labels must be 0 to 2, got 3"),
    (spoilt(labels=lambda y: y[:3]), ValueError, r"as many train labels as images, and at least one; got 3 labels and 4 images"),
    (spoilt(images=lambda x: x[:0], labels=lambda y: y[:0]), ValueError, r"at least one; got 0 labels and 0 images"),
    (spoilt(images=lambda x: x[:, :4]), ValueError, r"training images are \(4, 5, 3\) but test images \(6, 5, 3\)"),
])
def test_what_is_no_data_set_is_answered_with_where_and_what_to_do(given, kind, said):
    with pytest.raises(kind, match=said):
        from_arrays(given, pair(), classes="abc")


@given(shape=st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)), seed=st.integers(0, 99))
def test_mean_and_deviation_are_numpys(shape, seed):
    x = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    mean, deviation = mean_and_deviation(x)
    expected = x.astype(np.float64).reshape(-1, shape[-1])
    np.testing.assert_allclose(mean, expected.mean(0), rtol=1e-12)
    std = expected.std(0)
    np.testing.assert_allclose(deviation, np.where(std > 0, std, 1.0), rtol=1e-12)


def test_mean_and_deviation_of_more_images_than_are_looked_at_at_once(rng):
    x = rng.integers(0, 256, (3 * CHUNK // 2000, 40, 50, 1)).astype(np.uint8)
    mean, deviation = mean_and_deviation(x)
    assert mean == pytest.approx([x.mean(dtype=np.float64)], rel=1e-12)
    assert deviation == pytest.approx([x.std(dtype=np.float64)], rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 255.0])
def test_a_channel_that_never_changes_is_not_scaled(value):
    assert mean_and_deviation(np.full((7, 3, 3, 1), value, np.float32)) == ((pytest.approx(np.float32(value)),), (1.0,))
