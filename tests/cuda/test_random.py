"""CUDA kernels of random/, emulated: the published answers of Philox, and the reference back end's stream to the bit."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda.language import cuda, kernel, uint64
from tinygradconv.kernels.random import cuda as kernels
from tinygradconv.kernels.random import reference
from tinygradconv.kernels.random.philox import UNIT, below, philox, whole

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, emulate

from ..kernels.test_random import KNOWN, words
from .mutants import mutant

DEVICE = EmulatedDevice()
WORDS = st.integers(0, 2 ** 64 - 1)


def room(size, dtype, apart):
    """An array whose address is a multiple of 16 bytes, or `apart` elements beyond one."""
    whole = DEVICE.empty((size + 16,), dtype)
    start = -whole.ctypes.data % 16 // whole.itemsize + apart
    return whole[start:start + size]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_gives_the_published_answers(counter, key, answer):
    a, b, c, d = words(counter)
    low, high = words(key)

    @kernel("out: uint32*, block: uint64, key: uint64, step: uint64", threads=32)
    def once(out, block, key, step):
        if cuda.threadIdx.x == 0:
            out[0], out[1], out[2], out[3] = philox(block, key, step)
    out = np.zeros(4, np.uint32)
    emulate(once, 1, out, a | b << 32, low | high << 32, c | d << 32)
    assert out.tolist() == words(answer)


@settings(max_examples=12, deadline=None)
@given(size=st.sampled_from([0, 1, 3, 4, 5, 70, 1024, 1027]), apart=st.sampled_from([0, 1]), key=WORDS, step=WORDS)
def test_bits_are_the_references(size, apart, key, step):
    bits, expected = room(size, np.uint32, apart), np.empty(size, np.uint32)
    kernels.random_bits(DEVICE, bits, key, step)
    reference.random_bits(expected, key, step)
    assert (bits == expected).all()


@settings(max_examples=12, deadline=None)
@given(size=st.sampled_from([0, 1, 4, 6, 70, 1025]), apart=st.sampled_from([0, 1]), rate=st.floats(0, 1, exclude_max=True),
       dtype=st.sampled_from([np.float32, np.float64]), key=WORDS)
def test_dropout_is_the_references(size, apart, rate, dtype, key):
    x, y, expected = np.random.default_rng(0).standard_normal(size).astype(dtype), room(size, dtype, apart), np.empty(size, dtype)
    kernels.dropout(DEVICE, x, y, rate, key, 5)
    reference.dropout(x, expected, rate, key, 5)
    assert (y == expected).all()


@pytest.mark.parametrize("first_row", [0, 3])
def test_the_gpu_drops_what_the_cpu_drops(emulated, first_row):
    import tinygradconv as tgc
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    here, there = (tgc.dropout(tgc.Tensor(x).to(device), 0.4, key=2 ** 63 + 5, step=2 ** 40, first_row=first_row).numpy()
                   for device in ("cpu", "cuda"))
    assert (here == there).all() and (here == 0).any()


def test_what_is_dropped_is_zero_whatever_it_was():
    x, y = np.full(64, np.nan, np.float32), room(64, np.float32, 0)
    kernels.dropout(DEVICE, x, y, 0.5, 1, 2)
    assert {str(value) for value in y} == {"nan", "0.0"}


def test_numbers_of_augmentations_are_those_of_the_host():
    """Element e of uniform(…, float64), and the whole number below a limit that is made of it."""
    from tinygradconv.data.augment.draws import below as of_the_host
    from tinygradconv.ops.random import uniform

    @kernel("drawn: float64*, chosen: int64*, key: uint64, limit: int64", threads=64)
    def draw(drawn, chosen, key, limit):
        e = cuda.threadIdx.x
        found = whole(uint64(e), key, 9)
        drawn[e], chosen[e] = found * UNIT, below(found, limit)
    key, u = 2 ** 63 + 12345, uniform((64,), key=2 ** 63 + 12345, step=9, dtype=np.float64).numpy()
    for limit in (1, 9, 1000):
        drawn, chosen = np.zeros(64), np.zeros(64, np.int64)
        emulate(draw, 1, drawn, chosen, key, limit)
        assert (drawn == u).all() and (chosen == of_the_host(u, limit)).all()


def test_mutants_are_found():
    x = np.ones(70, np.float32)
    tail, draw = "if first + k < size:\n                        bits", "philox(cuda.grid(1), key, step[0])"
    then = "\n            if aligned and first + 4 <= size:\n                a"
    for old, new, fault in ((tail, tail.replace("<", "<="), InvalidAddress),
                            ("aligned = address(bits) % 16 == 0", "aligned = True", InvalidAddress),
                            ("if word >= threshold", "if word > threshold", AssertionError),
                            (draw + then, "philox(first, key, step[0])" + then, AssertionError)):
        made = mutant(kernels, old, new)
        bits, y, expected = room(70, np.uint32, 1), room(70, np.float32, 0), np.empty(70, np.float32)
        reference.random_bits(expected.view(np.uint32), 3, 4)
        rate = int(np.sort(expected.view(np.uint32))[35]) / 2 ** 32        # just one of the words: it is kept
        reference.dropout(x, expected, rate, 3, 4)
        with pytest.raises(fault):
            made.random_bits(DEVICE, bits, 3, 4)
            made.dropout(DEVICE, x, y, rate, 3, 4)
            assert (y == expected).all()
