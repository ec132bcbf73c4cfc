"""The pool of blocks: alignment, reuse, what is counted, what is said when memory runs out, several threads at once."""
from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv._compiled import memory


@pytest.fixture(autouse=True)
def empty_cache():
    """Each test begins with nothing cached."""
    gc.collect()
    memory.release()


def address(block):
    return np.frombuffer(block, np.uint8).ctypes.data


@given(st.integers(1, 300_000))
def test_a_block_holds_its_bytes_from_a_page_of_its_own(nbytes):
    block = memory.Block(nbytes)
    view = np.frombuffer(block, np.uint8)
    assert len(block) == block.nbytes == view.nbytes == nbytes
    view[:] = 7                                                          # the whole of it is ours to write
    assert address(block) % 4096 == 0


def test_two_live_blocks_share_nothing():
    arrays = [memory.array((100,), np.float32) for _ in range(20)]
    for number, a in enumerate(arrays):
        a[...] = number
    assert [a.sum() for a in arrays] == [100 * number for number in range(20)]


def test_a_dropped_block_is_the_next_one_of_its_size_or_less():
    block = memory.Block(100_000)
    before = address(block)
    del block
    assert address(memory.Block(99_000)) == before


def test_a_view_keeps_the_block():
    a = memory.array((1000,), np.float64)
    row, used = a[10:20], memory.statistics()["in_use"]
    del a
    assert memory.statistics()["in_use"] == used
    del row
    assert memory.statistics()["in_use"] == used - 8000


def test_blocks_waste_less_than_a_page():
    for nbytes in [*range(65, 5000, 7), 10 ** 5, 10 ** 6 + 1, 10 ** 7]:
        block = memory.Block(nbytes)
        del block
        assert nbytes <= memory.statistics()["cached"] < nbytes + 4096, nbytes
        memory.release()


def test_neighbours_grow_together_and_serve_a_larger_block():
    blocks = [memory.Block(1 << 20) for _ in range(4)]
    first = min(address(block) for block in blocks)
    blocks.clear()
    large = memory.Block(4 << 20)
    assert address(large) == first and memory.statistics()["cached"] == 0


def test_the_smallest_hole_that_fits_is_taken():
    sizes = [3 << 20, 1 << 20, 2 << 20, 1 << 20]
    blocks = [memory.Block(nbytes) for nbytes in sizes]
    hole = address(blocks[2])
    blocks[0] = blocks[2] = None
    assert address(memory.Block((2 << 20) - 5000)) == hole


@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 30)), max_size=60))
def test_live_blocks_never_overlap_and_nothing_is_lost(steps):
    memory.release()
    before, alive = memory.statistics()["in_use"], []
    for number, (nbytes, victim) in enumerate(steps):
        alive.append((memory.array((nbytes,), np.uint8), number % 256))
        alive[-1][0][...] = number % 256
        if victim < len(alive):
            del alive[victim]
        if number % 20 == 19:
            memory.release()
        assert all((a == value).all() for a, value in alive)
    assert memory.statistics()["in_use"] - before == sum(a.nbytes for a, _ in alive)


def test_statistics_count_bytes_asked_for_and_bytes_kept():
    before = memory.statistics()["in_use"]
    memory.reset_peak()
    blocks = [memory.Block(1000), memory.Block(3000)]
    assert memory.statistics() == {"in_use": before + 4000, "cached": 0, "peak": before + 4000}
    blocks.clear()
    assert memory.statistics() == {"in_use": before, "cached": 2 * 4096, "peak": before + 4000}
    memory.reset_peak()
    memory.release()
    assert memory.statistics() == {"in_use": before, "cached": 0, "peak": before}


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4, 5), (0, 7)])
@pytest.mark.parametrize("dtype", [np.float32, np.dtype(np.float64), "int32", bool])
def test_array_is_an_ordinary_contiguous_ndarray(shape, dtype):
    a = memory.array(shape, dtype)
    assert type(a) is np.ndarray and a.shape == shape and a.dtype == np.dtype(dtype)
    assert a.flags.c_contiguous and a.flags.writeable and a.flags.aligned


@pytest.mark.parametrize("shape", [(), (0,), (3,), (8, 8), (2, 0, 3), (1,) * 30, (1,) * 40, (70, 300), (16_384,)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", ">f4", "S5"])
def test_small_and_large_arrays_are_ordinary_ndarrays(shape, dtype):
    """Small ones are made by NumPy's C function, ones of 64 KB and more lie in the pool."""
    known = np.zeros(shape, dtype)
    for array in memory.empty(shape, np.dtype(dtype)), memory.like(known), memory.like(np.array(known, order="F")):
        assert type(array) is np.ndarray and array.shape == shape and array.dtype == known.dtype and array.strides == known.strides
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
        assert array.flags.owndata == (known.nbytes < 65536)
        array[...] = 1
    assert memory.empty((2,), object).tolist() == memory.like(np.zeros(2, object)).tolist() == [None, None]


def test_a_dtype_outlives_the_arrays_that_are_made_of_it():
    """NumPy's C function takes a reference of its own: counted wrongly, the dtype would be gone after a few thousand arrays."""
    dtype = np.dtype([("a", "f4"), ("b", "i8")])
    counted = sys.getrefcount(dtype)
    for _ in range(1000):
        memory.empty((3,), dtype)
        memory.like(np.empty(3, dtype))
    assert sys.getrefcount(dtype) == counted


def test_array_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match=r"every axis must be at least 0, got shape \(2, -1\)"):
        memory.array((2, -1), np.float32)
    with pytest.raises(ValueError, match="holds Python objects"):
        memory.array((2,), object)
    with pytest.raises(ValueError, match="nbytes must be at least 0, got -3"):
        memory.Block(-3)
    with pytest.raises(MemoryError, match=r"shape \(4294967296, 4294967296\) and dtype float32"):
        memory.array((1 << 32, 1 << 32), np.float32)


@pytest.mark.parametrize("nbytes", [1 << 60, (1 << 62) + 1, (1 << 63) - 1])
def test_an_allocation_that_fails_gives_back_the_cache_and_says_what_was_held(nbytes):
    held, dropped = memory.Block(5000), memory.Block(4096)
    del dropped
    in_use = memory.statistics()["in_use"]
    with pytest.raises(MemoryError, match=f"of {nbytes} bytes: {in_use} bytes are in use, and 4096 were cached"):
        memory.Block(nbytes)
    assert memory.statistics()["in_use"] == in_use
    del held


def test_threads_make_and_drop_blocks_at_once():
    """Each thread writes its own number into every block it holds; a block handed out twice would show another's."""
    wrong, before = [], memory.statistics()["in_use"]

    def churn(number):
        held = []
        for turn in range(400):
            held.append(memory.array((turn % 50 + 1, 64), np.int32))
            held[-1][...] = number
            if len(held) > 10:
                if not all((a == number).all() for a in held):
                    wrong.append(number)
                del held[::2]

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and memory.statistics()["in_use"] == before
