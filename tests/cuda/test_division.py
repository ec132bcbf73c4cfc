"""Division by multiplication, against Python's own."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tinygradconv.kernels.cuda.division import LARGEST, divided, reciprocal
from tinygradconv.kernels.cuda.language import cuda, kernel

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import emulate

NUMBERS = st.integers(0, LARGEST)


@kernel("n: int64*, d: int64*, r: int64*, y: int64*", threads=32)
def quotients(n, d, r, y):
    t = cuda.threadIdx.x
    y[t] = divided(n[t], r[t])


@given(st.lists(st.tuples(NUMBERS, st.integers(1, LARGEST)), min_size=32, max_size=32))
@example([(n, d) for d in (1, 2, 3, 7, 641, 2**16 + 1, 2**30, LARGEST) for n in (0, LARGEST // d * d, LARGEST // d * d - 1, LARGEST)])
def test_divided_is_the_quotient(pairs):
    n, d = np.array(pairs, np.int64).T.copy()
    y = np.zeros(32, np.int64)
    emulate(quotients, 1, n, d, np.array([reciprocal(int(value)) for value in d]), y)
    assert (y == n // d).all()


@given(st.integers(1, LARGEST), NUMBERS)
def test_a_multiple_and_what_comes_just_before_it_are_told_apart(d, n):
    r = reciprocal(d)
    multiplier, shift = r & 0xFFFFFFFF, r >> 32
    assert r >> 32 < 64 and r & 0xFFFFFFFF == r - (shift << 32)
    for number in {n, n // d * d, max(n // d * d - 1, 0), LARGEST}:
        assert number * multiplier < 1 << 64 and number * multiplier >> shift == number // d


def test_a_divisor_that_cannot_be_is_named():
    with pytest.raises(ValueError, match=r"reciprocal: a divisor must be from 1 to 2,147,483,647, got 0"):
        reciprocal(0)
    with pytest.raises(ValueError, match="got 2,147,483,648"):
        reciprocal(LARGEST + 1)
