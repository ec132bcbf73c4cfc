"""Philox and dropout: the published known answers, independence of position, statistics; the Cython form against the definition."""
from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv._compiled import isa
from tinygradconv.kernels.random import reference

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.random_{variant}") for variant in isa.variants()}
EVERY = ["reference", *MODULES]
WORDS = st.integers(0, 2 ** 64 - 1)

# Random123's kat_vectors for philox4x32, ten rounds: counter, key, answer.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


def bits(variant, size, key, step):
    out = np.full(size, 0xDEADBEEF, np.uint32)
    (reference if variant == "reference" else MODULES[variant]).random_bits(out, key, step)
    return out


def dropout(variant, x, rate, key=1, step=2):
    y = np.full(x.shape, np.nan, x.dtype)
    kernel = reference.dropout if variant == "reference" else MODULES[variant].dropout["float" if x.dtype == np.float32 else "double"]
    kernel(x, y, rate, key, step)
    return y


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_gives_the_published_answers(counter, key, answer):
    low, high = words(key)
    got = reference.philox(np.array([words(counter)], np.uint64), low | high << 32)
    assert got.tolist() == [words(answer)]


@pytest.mark.parametrize("variant", EVERY)
def test_bits_begin_with_the_published_answer_for_zero(variant):
    assert bits(variant, 4, 0, 0).tolist() == words(KNOWN[0][2])


@pytest.mark.parametrize("variant", EVERY)
def test_element_is_a_word_of_its_own_block(variant):
    """bits[e] from the counter written out, for a key and a step whose words all differ."""
    key, step = 0x299F31D0A4093822, 0x0370734413198A2E
    got = bits(variant, 70, key, step)
    for e in 0, 3, 4, 66, 69:
        block = reference.philox(np.array([[e // 4, 0, 0x13198A2E, 0x03707344]], np.uint64), key)
        assert got[e] == block[0, e % 4]


@pytest.mark.parametrize("variant", MODULES)
@given(size=st.integers(0, 300), key=WORDS, step=WORDS)
def test_compiled_bits_are_the_references(variant, size, key, step):
    np.testing.assert_array_equal(bits(variant, size, key, step), bits("reference", size, key, step))


@pytest.mark.parametrize("variant", MODULES)
@given(size=st.integers(0, 300), rate=st.floats(0, 1, exclude_max=True), dtype=st.sampled_from([np.float32, np.float64]), key=WORDS)
def test_compiled_dropout_is_the_references(variant, size, rate, dtype, key):
    x = np.random.default_rng(0).standard_normal(size).astype(dtype)
    np.testing.assert_array_equal(dropout(variant, x, rate, key), dropout("reference", x, rate, key))


@pytest.mark.parametrize("variant", EVERY)
def test_dropout_keeps_what_its_bits_say_and_rescales_it(variant):
    x = np.arange(1, 1001, dtype=np.float32)
    y, keep = dropout(variant, x, 0.25), bits("reference", 1000, 1, 2) >= 2 ** 30
    np.testing.assert_array_equal(y, np.where(keep, x * np.float32(1 / 0.75), 0))
    np.testing.assert_array_equal(dropout(variant, x, 0.0), x)


@pytest.mark.parametrize("variant", EVERY)
def test_a_dropped_infinity_is_zero(variant):
    y = dropout(variant, np.full(200, np.inf), 0.5)
    assert set(y.tolist()) == {0.0, np.inf}


@pytest.mark.parametrize("variant", EVERY)
def test_shares_and_bits_are_even(variant):
    """40,000 fair draws: each of the 32 bits is set, and half the values dropped, within five standard deviations."""
    drawn = bits(variant, 40000, key=7, step=3)
    share = (drawn[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / 200
    assert abs((dropout(variant, np.ones(40000, np.float32), 0.5) == 0).mean() - 0.5) < 5 * 0.5 / 200


@pytest.mark.parametrize("variant", EVERY)
def test_another_step_or_key_is_another_stream(variant):
    streams = [bits(variant, 64, *words) for words in ((0, 0), (1, 0), (0, 1), (1 << 32, 0), (0, 1 << 32))]
    assert len({stream.tobytes() for stream in streams}) == len(streams)
    np.testing.assert_array_equal(bits(variant, 50, 5, 6), bits(variant, 64, 5, 6)[:50])


@pytest.mark.parametrize("variant", MODULES)
def test_thread_count_changes_no_bit(variant):
    x, results = np.random.default_rng(0).standard_normal(50001).astype(np.float32), []
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            results.append((bits(variant, 50001, 3, 4).tobytes(), dropout(variant, x, 0.5).tobytes()))
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]
