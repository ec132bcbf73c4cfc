"""Copies to the GPU and back over a stub driver that does everything as late as it may."""
from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.backends.cuda.transfer import Transfers

from .stub import StubDriver

CHUNK = 64


def there_and_back(values, chunk=CHUNK):
    driver = StubDriver()
    transfers = Transfers(driver, chunk)
    pointer = driver.allocate(max(values.nbytes, 1))
    transfers.to_device(values, pointer)
    found = np.full(values.shape, 99, values.dtype)
    transfers.to_host(pointer, found)
    return driver, found


@given(st.integers(0, 500), st.sampled_from([np.float32, np.float64, np.uint8, np.bool_]), st.sampled_from([1, 7, 64, 4096]))
def test_what_goes_there_comes_back(size, dtype, chunk):
    values = (np.arange(size) % 251).astype(dtype)
    assert np.array_equal(there_and_back(values, chunk)[1], values)


def test_pieces_go_through_two_buffers_that_are_kept():
    driver, _ = there_and_back(np.arange(50, dtype=np.float32))
    pieces = [64, 64, 64, 8]
    assert [call[1] for call in driver.calls if call[0] == "copy_in"] == pieces
    assert [call[1] for call in driver.calls if call[0] == "copy_out"] == pieces
    assert sum(call[0] == "pinned" for call in driver.calls) == 2 and sum(call[0] == "event" for call in driver.calls) == 4


def test_the_host_may_change_its_array_at_once():
    driver = StubDriver()
    transfers, pointer = Transfers(driver, CHUNK), driver.allocate(400)
    values = np.arange(100, dtype=np.float32)
    transfers.to_device(values, pointer)
    values[:] = -1
    driver.synchronize()
    assert ctypes.string_at(pointer, 400) == np.arange(100, dtype=np.float32).tobytes()


def test_what_is_read_back_is_what_was_computed_before():
    driver = StubDriver()
    transfers, pointer = Transfers(driver, CHUNK), driver.allocate(400)
    driver.fill(pointer, 7, 400)                                           # still to be done when the copy is asked for
    found = np.zeros(400, np.uint8)
    transfers.to_host(pointer, found)
    assert (found == 7).all()


def test_memory_that_is_used_again_is_written_after_its_last_reader():
    driver = StubDriver()
    transfers, pointer, seen = Transfers(driver, CHUNK), driver.allocate(8), []
    transfers.to_device(np.full(8, 1, np.uint8), pointer)
    driver.streams[driver.compute].append(lambda: seen.append(ctypes.string_at(pointer, 8)))
    transfers.to_device(np.full(8, 2, np.uint8), pointer)
    driver.streams[driver.compute].append(lambda: seen.append(ctypes.string_at(pointer, 8)))
    while driver.streams[driver.copies]:                                   # the copies run ahead as far as they may
        driver._step(driver.copies)
    driver.synchronize()
    assert seen == [b"\1" * 8, b"\2" * 8]


def test_strided_arrays_are_copied_in_row_major_order():
    values = np.arange(12, dtype=np.float64).reshape(3, 4)
    driver = StubDriver()
    transfers, pointer = Transfers(driver, CHUNK), driver.allocate(96)
    transfers.to_device(values.T[::-1], pointer)
    driver.synchronize()
    assert ctypes.string_at(pointer, 96) == np.ascontiguousarray(values.T[::-1]).tobytes()
    for wrong in (np.zeros((4, 3)).T, np.zeros(12)[::-1], np.broadcast_to(np.zeros(1), 12)):
        with pytest.raises(ValueError, match="must be C-contiguous and writeable"):
            transfers.to_host(pointer, wrong)


def test_several_threads_take_turns():
    driver = StubDriver(1 << 20)
    transfers, wrong = Transfers(driver, CHUNK), []
    pointers = [driver.allocate(1000) for _ in range(3)]

    def work(number):
        values, found = np.full(1000, number, np.uint8), np.empty(1000, np.uint8)
        for _ in range(20):
            transfers.to_device(values, pointers[number])
            transfers.to_host(pointers[number], found)
            if (found != number).any():
                wrong.append(number)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_read_later_is_what_was_computed_before_and_waits_for_nothing_after():
    driver = StubDriver()
    transfers, pointer = Transfers(driver), driver.allocate(8)
    found = []
    for value in range(3):                                                 # the place of one that was read is used again
        driver.fill(pointer, value, 8)
        under_way = [transfers.later(pointer, (2,), np.dtype(np.int32))]
        driver.fill(pointer, 77, 8)
        under_way.append(transfers.later(pointer, (), np.dtype(np.uint8)))
        driver.fill(pointer, 99, 8)
        found.append(under_way[0].numpy().tolist())
        assert len(driver.streams[driver.compute]) == 4, "what was started after it has not been waited for"
        assert under_way[1].numpy() == 77
    assert found == [[value * 0x01010101] * 2 for value in range(3)]
    assert sum(call[0] == "pinned" for call in driver.calls) == 2 == sum(call[0] == "event" for call in driver.calls)
    with pytest.raises(ValueError, match="^later: at most 256 bytes are read while the GPU goes on, got 264$"):
        transfers.later(pointer, (33,), np.dtype(np.float64))
