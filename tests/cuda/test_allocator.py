"""The GPU's memory pool over a stub driver: size classes, reuse, what is counted, what is said when memory runs out, the debug mode."""
from __future__ import annotations

import ctypes
import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.backends.cuda.allocator import Allocator, size_class

from .stub import StubDriver

MEGABYTE = 1 << 20


@pytest.fixture
def driver():
    return StubDriver()


@pytest.fixture
def allocator(driver):
    return Allocator(driver)


def asked(driver, call):
    return [entry[1] for entry in driver.calls if entry[0] == call]


@given(st.integers(0, 1 << 40))
def test_a_size_class_holds_the_request_and_little_more(nbytes):
    size = size_class(nbytes)
    assert size >= nbytes and size % 512 == 0
    assert size - nbytes <= max(512 if nbytes <= MEGABYTE else 2 * MEGABYTE, nbytes // 8)
    assert size_class(size) == size                                    # what a class holds is of that class
    assert nbytes <= MEGABYTE or size % (2 * MEGABYTE) == 0


def test_size_classes_by_hand():
    assert [size_class(n) for n in (0, 1, 512, 513, 4096, 4097, 8192, 8193, MEGABYTE, MEGABYTE + 1)] == [
        512, 512, 512, 1024, 4096, 4608, 8192, 9216, MEGABYTE, 2 * MEGABYTE]
    assert size_class(100 * MEGABYTE) == 104 * MEGABYTE and size_class(104 * MEGABYTE + 1) == 112 * MEGABYTE


def test_two_live_blocks_share_nothing(allocator):
    blocks = sorted((allocator.take(700) for _ in range(20)), key=lambda block: block.pointer)
    assert all(a.pointer + a.nbytes <= b.pointer for a, b in zip(blocks, blocks[1:]))


def test_a_dropped_block_serves_the_next_request_of_its_class(driver, allocator):
    block = allocator.take(700)
    pointer = block.pointer
    del block
    assert allocator.take(1000).pointer == pointer                     # 700 and 1000 are both of the class 1024
    assert asked(driver, "allocate") == [1024] and not asked(driver, "free")


def test_another_class_is_not_touched(driver, allocator):
    allocator.take(700)
    allocator.take(2000)
    assert asked(driver, "allocate") == [1024, 2048]


def test_what_is_counted(allocator):
    first, second = allocator.take(1000), allocator.take(3 * MEGABYTE)
    assert allocator.statistics() == {"in_use": 1000 + 3 * MEGABYTE, "cached": 0, "peak": 1000 + 3 * MEGABYTE}
    del second
    assert allocator.statistics() == {"in_use": 1000, "cached": 4 * MEGABYTE, "peak": 1000 + 3 * MEGABYTE}
    allocator.reset_peak()
    assert allocator.statistics()["peak"] == 1000
    del first
    allocator.release()
    assert allocator.statistics() == {"in_use": 0, "cached": 0, "peak": 1000}


def test_what_is_released_is_given_back_whole(driver, allocator):
    for nbytes in (1, 600, MEGABYTE, 9 * MEGABYTE):
        allocator.take(nbytes)
    allocator.release()
    assert not driver.held and len(asked(driver, "free")) == 4


def test_where_memory_runs_out_the_cache_is_given_back_first(driver, allocator):
    blocks = [allocator.take(16 * MEGABYTE) for _ in range(3)]         # 48 of 64 MB
    blocks.clear()
    block = allocator.take(40 * MEGABYTE)
    assert block.nbytes == 40 * MEGABYTE and len(asked(driver, "free")) == 3
    assert asked(driver, "allocate")[-2:] == [40 * MEGABYTE] * 2       # refused, and then not
    assert allocator.statistics()["cached"] == 0


def test_where_memory_runs_out_cycles_are_collected_first(driver, allocator):
    held = [allocator.take(40 * MEGABYTE)]
    held.append(held)                                                  # a cycle: only the garbage collector can drop it
    pointer = held[0].pointer
    gc.disable()
    try:
        del held
        assert allocator.take(40 * MEGABYTE).pointer == pointer
    finally:
        gc.enable()
    assert not asked(driver, "free")                                   # the very block was what was wanted


def test_when_there_is_none_left_the_error_says_the_four_numbers(driver, allocator):
    kept, dropped = allocator.take(30 * MEGABYTE), allocator.take(10 * MEGABYTE)
    del dropped
    with pytest.raises(MemoryError) as refused:
        allocator.take(50 * MEGABYTE)
    assert str(refused.value) == (
        f"no memory on the GPU for an array of {50 * MEGABYTE} bytes: {30 * MEGABYTE} bytes are in use, {10 * MEGABYTE} were cached "
        f"and have been given back, {34 * MEGABYTE} of {64 * MEGABYTE} are free. Use a smaller batch, or keep less for backward (remat)")
    assert allocator.statistics()["in_use"] == 30 * MEGABYTE == kept.nbytes
    assert allocator.take(20 * MEGABYTE).nbytes == 20 * MEGABYTE       # and nothing is broken


def test_another_error_of_the_driver_is_not_taken_for_a_lack_of_memory(driver, allocator):
    driver.fails.append(("allocate", "CUDA_ERROR_ILLEGAL_ADDRESS"))
    with pytest.raises(RuntimeError, match=r"allocate: CUDA_ERROR_ILLEGAL_ADDRESS \(a kernel reached outside its arrays\)"):
        allocator.take(100)
    assert allocator.statistics()["in_use"] == 0


def test_a_negative_size_is_refused(allocator):
    with pytest.raises(ValueError, match="take: nbytes must be at least 0, got -1"):
        allocator.take(-1)


def test_in_debug_mode_a_block_is_exact_and_poisoned_at_both_ends_of_its_life(driver):
    allocator = Allocator(driver, debug=True)
    block = allocator.take(7)
    pointer = block.pointer
    driver.synchronize()
    assert ctypes.string_at(pointer, 7) == b"\xff" * 7 and asked(driver, "allocate") == [7]
    ctypes.memset(pointer, 0, 7)
    del block
    assert allocator.statistics() == {"in_use": 0, "cached": 0, "peak": 7}
    assert driver.calls[-3:] == [("fill", pointer, 0xFF, 7), ("synchronize",), ("free", pointer)] and not driver.held


def test_nothing_is_given_back_while_something_under_way_may_use_it(driver, allocator):
    block = allocator.take(700)
    driver.fill(block.pointer, 0, 700)                                 # to be done at the last moment
    del block
    allocator.release()
    assert driver.calls[-2][0] == "synchronize" and not driver.held


def test_threads_may_take_and_drop_at_once(allocator):
    wrong = []

    def work(number):
        for turn in range(200):
            block = allocator.take(1000 + 600 * (turn % 5))
            ctypes.memset(block.pointer, number, block.nbytes)
            if ctypes.string_at(block.pointer, block.nbytes) != bytes([number]) * block.nbytes:
                wrong.append(number)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and allocator.statistics()["in_use"] == 0
