"""Recordings over a stub driver: the order of what it is asked, kernels that are met late, other threads, constants, what is kept."""
from __future__ import annotations

import gc
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from tinygradconv.kernels.cuda.language import float32

import tinygradconv as tgc
from tests.cuda.emulated import DefinedBackend, EmulatedBackend
from tinygradconv import backends
from tinygradconv.backends.cuda.graph import MOST_CONSTANTS, MOST_NUMBERS, Recording, record, sweep
from tinygradconv.backends.live import CannotRecord, Cold, recorder
from tinygradconv.train.optim import SGD, Adam

from . import kernels
from .test_launch import Place, axpy

AXPY = kernels.axpy(float32)


@pytest.fixture
def place():
    made = Place({"axpy": axpy})
    made.gpu = SimpleNamespace(driver=made.driver, device=made.device, transfers=made.transfers)
    made.pool = made.allocator.pool()
    yield made
    gc.collect()
    sweep()


def calls(place, since=0):
    return [call[0] for call in place.driver.calls[since:]]


def warm(place):
    x = place.device.empty((1,), np.float32)
    place.device.launch(AXPY, 1, 1.0, x, x, 1)


def recorded(place, run):
    recording = Recording(place.driver, place.allocator, place.pool)
    return record(place.gpu, place.pool, recording, run), recording


def test_the_driver_is_asked_in_order_and_nothing_is_computed_before_a_replay(place):
    warm(place)
    x, y = place.array(np.ones(5, np.float32)), place.array(np.zeros(5, np.float32))
    recording = Recording(place.driver, place.allocator, place.pool)
    since = len(place.driver.calls)
    graph = record(place.gpu, place.pool, recording, lambda: [place.device.launch(AXPY, 1, 1.0, x, y, 5) for _ in range(3)] and "done")
    assert calls(place, since) == ["begin_capture", "launch", "launch", "launch", "end_capture", "instantiate"]
    assert graph.result == "done" and place.numpy(y).tolist() == [0] * 5
    for replay in range(1, 4):
        graph.replay()
        assert place.numpy(y).tolist() == [9 * replay] * 5
    assert calls(place, since).count("launch") == 3


def test_a_kernel_that_was_never_launched_is_not_loaded_in_a_recording(place):
    x = place.device.empty((1,), np.float32)
    with pytest.raises(Cold, match="axpy"):
        recorded(place, lambda: place.device.launch(AXPY, 1, 1.0, x, x, 1))
    assert "load" not in calls(place) and calls(place)[-2:] == ["end_capture", "drop_graph"] and not recorder
    warm(place)
    recorded(place, lambda: place.device.launch(AXPY, 1, 1.0, x, x, 1))


def test_what_it_reads_and_writes_is_kept_and_what_it_makes_is_used_again(place):
    warm(place)
    given = [place.array(np.ones(7, np.float32))]

    def run():
        y = place.device.empty((7,), np.float32)
        place.device.launch(AXPY, 1, 1.0, given[0], y, 7)
        return y.pointer

    graph, _ = recorded(place, lambda: {run() for _ in range(4)})
    assert len(graph.result) == 1
    block = given[0].block.pointer
    before = place.allocator.statistics()["in_use"]
    given.clear()
    assert place.allocator.statistics()["in_use"] == before and block in place.driver.held
    del graph, _
    gc.collect()
    assert place.allocator.statistics()["in_use"] == before - 28 - 8 * MOST_NUMBERS


def test_constants_of_the_host_are_put_there_at_every_replay(place):
    warm(place)
    y = place.array(np.zeros(3, np.float32))

    def run():
        values = place.array(np.array([1, 2, 3], np.float32))
        place.device.launch(AXPY, 1, 1.0, values, y, 3)
        return place.device.number(0.5, "float64")

    graph, _ = recorded(place, run)
    for _ in range(2):
        graph.replay()
    assert place.numpy(y).tolist() == [6, 12, 18] and place.numpy(graph.result)[0] == 0.5
    with pytest.raises(CannotRecord, match="moves more than 1048576 bytes from the host"):
        recorded(place, lambda: place.array(np.zeros(MOST_CONSTANTS + 8, np.uint8)))
    graph.replay()


def test_a_table_is_put_there_once_in_memory_that_no_replay_writes_to(place):
    graph, recording = recorded(place, lambda: place.device.table([5, -6, 2 ** 62]))
    since = len(place.driver.calls)
    for _ in range(2):
        graph.replay()
        assert place.numpy(graph.result).tolist() == [5, -6, 2 ** 62]
    assert "copy_in" not in calls(place, since) and not place.pool.owns(graph.result.block)


def test_numbers_of_many_types_from_one_source(place):
    values = iter([3, 4])

    def run():
        live = backends.live.following("n", lambda: next(values))
        return [place.device.number(live, dtype) for dtype in ("float64", "float32", "int64", "uint64", "int64")]

    graph, _ = recorded(place, run)
    for expected in (3, 4):
        graph.replay()
        assert [place.numpy(array)[0] for array in graph.result] == [expected] * 5
    assert graph.result[2].pointer == graph.result[4].pointer
    with pytest.raises(CannotRecord, match="has more than 512 numbers that change"):
        recorded(place, lambda: [place.device.number(backends.live.following("n", int), "int64") for _ in range(MOST_NUMBERS + 1)])


def test_another_thread_may_not_launch_and_its_copies_wait(place):
    warm(place)
    x, seen, order = place.array(np.arange(4, dtype=np.float32)), [], []

    def other():
        try:
            place.device.launch(AXPY, 1, 1.0, x, x, 4)
        except RuntimeError as problem:
            seen.append(str(problem))
        began.set()
        place.numpy(x)
        order.append("copied")

    began, thread = threading.Event(), threading.Thread(target=other)

    def run():
        thread.start()
        assert began.wait(10)
        order.append("recorded")

    recorded(place, run)
    thread.join(10)
    assert seen and seen[0].startswith("a thread computes on the GPU while another one records a step") and order == ["recorded", "copied"]


def test_a_driver_that_refuses_a_replay_is_reported(place):
    warm(place)
    x = place.array(np.ones(5, np.float32))
    graph, _ = recorded(place, lambda: place.device.launch(AXPY, 1, 1.0, x, x, 5))
    place.driver.fails.append(("start", "CUDA_ERROR_ILLEGAL_ADDRESS"))
    with pytest.raises(RuntimeError, match="the replay of a captured step: start: CUDA_ERROR_ILLEGAL_ADDRESS .*a kernel reached outside"):
        graph.replay()


def test_memory_of_a_pool_is_not_given_back_while_its_graph_may_be_replayed(place):
    block = place.pool.take(1000)
    del block
    place.allocator.release()
    assert place.pool.statistics()["cached"] == 1024 and place.allocator.statistics()["cached"] == 1024
    place.driver.total = 4096
    with pytest.raises(MemoryError, match="0 bytes are in use, 0 were cached and have been given back"):
        place.pool.take(100_000)
    place.pool.retire()
    place.allocator.release()
    assert place.allocator.statistics() == {"in_use": 0, "cached": 0, "peak": 0} and not place.driver.held


def test_a_step_that_meets_a_new_kernel_when_it_is_recorded_runs_once_more_as_it_is(monkeypatch):
    gpu = DefinedBackend()
    monkeypatch.setitem(backends._made, "cuda", gpu)
    runs, cold = [], [2]

    def function(x):
        runs.append(bool(recorder))
        if recorder and cold[0]:
            cold[0] -= 1
            raise Cold("axpy")
        return x + 1

    step, x = tgc.capture(function), tgc.Tensor(np.zeros(2, np.float32)).to("cuda")
    for _ in range(6):
        assert step(x).tolist() == [1, 1]
    assert runs == [False, True, False, True, False, True]
    cold[0] = 9
    step.forget()
    for _ in range(3):
        step(x)
    with pytest.raises(RuntimeError, match="function cannot be recorded: each call launches a kernel that the call before did not, the "
                                           "last one axpy"):
        step(x)


@pytest.mark.parametrize("make", [lambda p: Adam(p), lambda p: SGD(p, momentum=0.5)], ids=["adam", "sgd"])
def test_kernels_read_the_numbers_that_change(monkeypatch, make):
    pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
    monkeypatch.setitem(backends._made, "cuda", EmulatedBackend())
    found = []
    for wrap in (lambda step: step, tgc.capture):
        p = tgc.Tensor(np.arange(5, dtype=np.float32)).to("cuda").requires_grad_()
        optimizer = make({"p": p})

        def step(x, rate, i, p=p, optimizer=optimizer):
            y = tgc.dropout(x, 0.5, key=9, step=i) * p
            optimizer.update(tgc.grad(y, [p], x), rate)
            return y

        call, x = wrap(step), tgc.Tensor(np.ones(5, np.float32)).to("cuda")
        found.append([[call(x, 0.1 / (1 + i), i).tolist() for i in range(4)], p.tolist(), optimizer.steps])
    assert found[0] == found[1] and len({str(y) for y in found[0][0]}) == 4
