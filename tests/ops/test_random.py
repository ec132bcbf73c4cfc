"""Random numbers: published Philox words, statistics within their own error, streams that repeat and do not touch."""
from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tinygradconv.ops.random import key_of, normal, permutation, random_bits, uniform


def test_the_bits_are_those_of_the_papers_known_answers(backend):
    """Random123's kat_vectors: philox4x32 of ten rounds, counter and key all zero, and all ones."""
    assert [hex(int(w)) for w in random_bits(4, key=0).numpy()] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def test_a_key_is_the_hash_of_its_seed_and_purpose():
    assert key_of(3, "conv1.weight") == int.from_bytes(hashlib.blake2b(b"3/conv1.weight", digest_size=8).digest(), "little")
    keys = {key_of(seed, purpose) for seed in range(50) for purpose in ("a", "b", "1", "")}
    assert len(keys) == 200 and max(keys) < 2 ** 64


@pytest.mark.parametrize("draw", [uniform, normal, random_bits])
def test_a_draw_is_a_function_of_key_and_step_and_a_longer_one_begins_with_it(backend, draw):
    a = draw((3, 5), key=7, step=2).numpy()
    np.testing.assert_array_equal(a, draw((3, 5), key=7, step=2).numpy())
    np.testing.assert_array_equal(a.ravel(), draw(100, key=7, step=2).numpy()[:15])
    assert (a != draw((3, 5), key=7, step=3).numpy()).any() and (a != draw((3, 5), key=8, step=2).numpy()).any()


def test_back_ends_draw_the_same():
    import tinygradconv as tgc
    with tgc.settings(backend="reference"):
        slow = [f(101, key=key_of(0, "x"), step=5).numpy() for f in (random_bits, uniform, normal)]
    for f, expected in zip((random_bits, uniform, normal), slow):
        np.testing.assert_array_equal(f(101, key=key_of(0, "x"), step=5).numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers_are_uniform_on_a_grid(backend, dtype):
    n = 40000
    u = uniform(n, key=1, dtype=dtype).numpy()
    assert u.dtype == dtype and 0 <= u.min() and u.max() < 1
    grid = u.astype(np.float64) * 2.0 ** (24 if dtype == "float32" else 53)
    np.testing.assert_array_equal(grid, np.round(grid))
    counts = np.histogram(u, 16, (0, 1))[0]
    assert ((counts - n / 16) ** 2 / (n / 16)).sum() < 44.3          # χ² with 15 degrees of freedom, p = 0.0001
    v = uniform(n, key=1, low=-2, high=3, dtype=dtype).numpy()
    np.testing.assert_allclose(v, -2 + 5 * u.astype(np.float64), atol=1e-6)


def test_the_upper_end_is_never_reached_by_rounding(backend):
    v = uniform(1 << 16, key=0, low=1e8, high=1e8 + 8, dtype="float32").numpy()
    assert set(v.tolist()) == {1e8}                                # float32 has no number between 1e8 and 1e8 + 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_have_the_moments_and_the_tails_of_a_normal(backend, dtype):
    stats = pytest.importorskip("scipy.stats")
    n = 40001
    z = normal(n, key=2, mean=3, deviation=2, dtype=dtype).numpy()
    assert z.dtype == dtype and z.shape == (n,) and np.isfinite(z).all()
    z = (z.astype(np.float64) - 3) / 2
    assert abs(z.mean()) < 4 / n ** 0.5 and abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    assert stats.kstest(z, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z[:-1:2], z[1::2])[0, 1]) < 4 / (n / 2) ** 0.5       # the two of one pair are independent


def test_normal_is_box_and_mullers_formula_of_the_bits(backend):
    bits = random_bits(4, key=5, step=9).numpy().astype(object)
    u, v = ((int(bits[2 * i]) >> 5) * 2 ** 26 + (int(bits[2 * i + 1]) >> 6) for i in range(2))
    u, v = u / 2 ** 53, v / 2 ** 53
    expected = np.sqrt(-2 * np.log(1 - u)) * np.array([np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)])
    np.testing.assert_allclose(normal(2, key=5, step=9, dtype="float64").numpy(), expected, rtol=1e-14)


def test_permutations_hold_every_number_once_and_favour_no_place(backend):
    for n in (0, 1, 2, 17, 1000):
        assert sorted(permutation(n, key=1).tolist()) == list(range(n))
    counts = np.zeros((4, 4))
    for step in range(2000):
        counts[np.arange(4), permutation(4, key=3, step=step).numpy()] += 1
    assert ((counts - 500) ** 2 / 500).sum() < 36                    # nine degrees of freedom, p < 0.0001
    assert permutation(1000, key=1).tolist() != permutation(1000, key=1, step=1).tolist()


@pytest.mark.parametrize("call, kind, message", [
    (lambda: key_of(-1, "a"), ValueError, "key_of: seed must be at least 0, got -1"),
    (lambda: key_of(0, 5), TypeError, "key_of: purpose must be text, got 5 of type int"),
    (lambda: random_bits(3, key=2 ** 64), ValueError, "random_bits: key must be less than 2⁶⁴, got 18446744073709551616"),
    (lambda: uniform(3, key=0, step=-1), ValueError, "uniform: step must be at least 0, got -1"),
    (lambda: uniform(3, key=0, low=1, high=1), ValueError, "uniform: low must be less than high, both finite, got low 1 and high 1"),
    (lambda: uniform((3, -1), key=0), ValueError, "uniform: shape must be at least 0, got -1"),
    (lambda: uniform(3, key=0, dtype="int64"), TypeError, "uniform: dtype must be float32 or float64, got int64"),
    (lambda: normal(3, key=0, deviation=-1), ValueError, "normal: deviation must be at least 0, got -1"),
    (lambda: permutation(2.5, key=0), TypeError, "permutation: n must be an integer, got 2.5 of type float"),
])
def test_a_wrong_call_is_told_what_to_do(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
