"""Workers: the same batches however many, errors that name the image, nothing left behind when it ends early."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import settings
from tinygradconv.data import DataSet, Loader, Split, prefetch
from tinygradconv.data.augment import Cutout, Flip, Mixup, Normalize, PadCrop
from tinygradconv.data.loader import workers_for
from tinygradconv.settings import get

AUGMENT = PadCrop(2) >> Flip() >> Cutout(2)


@pytest.fixture
def toy(rng):
    split = Split(rng.integers(0, 256, (23, 6, 5, 2)).astype(np.uint8), np.arange(23) % 3)
    return DataSet("toy", split, split, tuple("abcd"), (100.0, 20.0), (50.0, 10.0))


def bits(batches) -> list[bytes]:
    return [x.tobytes() + y.tobytes() for x, y in batches]


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("tinygradconv-loader")]


def double(images, *, key, step):
    """An augmentation that another process can import, and that fails with one image."""
    if (images == 255).all((1, 2, 3)).any():
        raise OSError("a white image")
    return images * np.uint8(2)


@pytest.mark.parametrize("augment", [None, AUGMENT, AUGMENT >> Mixup(1.0)], ids=str)
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_any_number_of_threads_makes_the_same_batches(toy, augment, workers):
    alone, together = (Loader.training(toy, 4, 3, augment, workers=n) for n in (0, workers))
    for epoch in range(2):
        assert bits(alone.batches(epoch)) == bits(together.batches(epoch))
    assert bits(alone.batches(1, start=4)) == bits(together.batches(1))[4:] and not list(together.batches(1, start=6))
    assert not loader_threads()


def test_processes_make_the_same_batches_and_their_errors_come_back(toy):
    alone, together = (Loader.training(toy, 8, 3, AUGMENT >> Mixup(1.0), workers=n, processes=bool(n)) for n in (0, 1))
    assert bits(alone.batches(1)) == bits(together.batches(1))
    white = white_at(toy, 7)
    with pytest.raises(OSError, match="a white image") as raised:
        list(Loader.training(white, 8, 3, double, workers=1, processes=True).batches())
    assert "with image 7 of the data set (label 1)" in raised.value.__notes__[0]


def white_at(toy, *positions: int) -> DataSet:
    images = toy.train.images.copy()
    images[list(positions)] = 255
    return DataSet("white", Split(images, toy.train.labels), toy.test, toy.classes, toy.mean, toy.deviation)


@pytest.mark.parametrize(("shape", "batch_size", "augment", "workers"), [
    ((28, 28, 1), 64, AUGMENT, 0), ((28, 28, 1), 64, (AUGMENT,), 0), ((32, 32, 1), 64, None, 0), ((32, 32, 1), 65, None, 1),
    ((32, 32, 3), 128, AUGMENT, 1), ((28, 28, 1), 1, double, 1)])
def test_small_batches_are_made_where_they_are_needed(shape, batch_size, augment, workers):
    assert workers_for(shape, batch_size, augment) == workers
    split = Split(np.zeros((2, *shape), np.uint8), np.arange(2))
    mean = (0.0,) * shape[2]
    assert Loader(split, mean, (1.0,) * shape[2], batch_size, 0, augment).workers == workers
    assert Loader(split, mean, (1.0,) * shape[2], batch_size, 0, augment, processes=True).workers == 1


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_comes_in_its_turn_and_names_the_image(toy, workers):
    loader = Loader.training(white_at(toy, 7), 4, 3, double, workers=workers)
    bad = int(np.flatnonzero(loader.order(1) == 7)[0]) // 4
    good = 0
    with pytest.raises(OSError, match="a white image") as raised:
        for _ in loader.batches(1):
            good += 1
    assert good == bad and raised.value.__notes__ == [f"in batch {bad} of epoch 1, with image 7 of the data set (label 1)"]
    assert not loader_threads()


def test_an_error_of_every_image_names_the_batch(toy):
    loader = Loader.training(toy, 10, 3, PadCrop(0, 9))
    with pytest.raises(ValueError, match="PadCrop: size 9×9 is larger than the padded image, 6×5") as raised:
        list(loader.batches())
    first = ", ".join(map(str, loader.order(0)[:8]))
    assert raised.value.__notes__ == [f"in batch 0 of epoch 0, images {first}, … of the data set"]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError])
def test_abandoned_batches_leave_no_threads(toy, ending):
    batches = Loader.training(toy, 2, 3, AUGMENT, workers=3).batches()
    next(batches)
    assert loader_threads()
    with pytest.raises(ending):
        batches.throw(ending())
    assert not loader_threads()
    for _ in Loader.training(toy, 2, 3, AUGMENT, workers=3).batches():
        break
    assert not loader_threads()
    Loader.training(toy, 2, 3, workers=3).batches()                       # never begun
    assert not loader_threads()


def test_only_a_few_batches_are_made_ahead(toy):
    made = []
    loader = Loader.training(toy, 1, 3, lambda images, key, step: made.append(step) or images, workers=2)
    batches = loader.batches()
    for taken in range(1, 6):
        next(batches)
        time.sleep(0.02)
        assert taken <= len(made) <= taken + 4
    batches.close()


def test_workers_have_the_callers_settings(toy):
    seen = []
    loader = Loader.training(toy, 8, 3, lambda images, key, step: seen.append(get("backend")) or images, workers=2)
    with settings(backend="reference"):
        list(loader.batches())
    assert seen == ["reference"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux only")
def test_workers_give_way_to_the_kernels(toy):
    seen = []
    loader = Loader.training(toy, 8, 3, lambda images, key, step: seen.append(priority()) or images, workers=1)
    before = priority()
    list(loader.batches())
    assert seen == [19] * 3 and priority() == before < 19


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("processes", [False, True])
def test_control_c_ends_at_once(tmp_path, processes):
    program = tmp_path / "program.py"
    program.write_text(f"""
import threading, numpy as np
from tinygradconv.data import Loader, Split

if __name__ == "__main__":
    split = Split(np.zeros((4000, 8, 8, 3), np.uint8), np.zeros(4000, int))
    try:
        while True:
            for _ in Loader(split, (0.0,) * 3, (1.0,) * 3, 4, workers=2, processes={processes}).batches():
                print("going", flush=True)
    except KeyboardInterrupt:
        print("threads:", threading.active_count())
""")
    running = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout.readline() == "going\n"
        running.send_signal(signal.SIGINT)
        out, problem = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 0 and out.endswith("threads: 1\n") and not problem, problem


def test_the_last_batch_is_left_out_where_it_is_smaller(toy):
    kept, dropped = (Loader.training(toy, 5, 3, AUGMENT, drop_last=drop) for drop in (False, True))
    assert (len(kept), len(dropped)) == (5, 4) and bits(kept.batches())[:4] == bits(dropped.batches())
    assert len(Loader.training(toy, 23, 3, drop_last=True)) == 1
    (x, _), = Loader.training(toy, 99, 3).batches()
    assert len(x) == 23
    with pytest.raises(ValueError, match="there are 23 images, less than one batch of 24, and drop_last leaves nothing"):
        Loader.training(toy, 24, 3, drop_last=True)


def test_no_batch_is_augmented_like_another(toy):
    seen = []
    loader = Loader.training(toy, 5, 3, lambda x, key, step: seen.append((key, step)) or x, drop_last=True)
    for epoch in range(3):
        list(loader.batches(epoch))
    assert len(set(seen)) == len(seen) == 12


def test_labels_of_mixed_images_are_probabilities(toy):
    loader = Loader.training(toy, 8, 3, Mixup(1.0))
    for x, labels in loader.batches():
        assert labels.shape == (len(x), 4) and labels.dtype == np.float32
        assert np.isfinite(tgc.cross_entropy(np.zeros((len(x), 4), np.float32), labels).item())
    (_, labels), *_ = Loader(toy.train, toy.mean, toy.deviation, 8, 3, Mixup(1.0)).batches()
    assert labels.shape == (8, 3)                                         # without a data set: as many classes as labels have


def test_a_normalize_of_ones_own_takes_the_place_of_the_loaders(toy):
    (own, _), *_ = Loader.training(toy, 8, 3, (Normalize((1, 2), (3, 4)), Cutout(2))).batches()
    (plain, _), *_ = Loader.training(toy, 8, 3, Normalize((1, 2), (3, 4))).batches()
    holes = (own == 0).all(-1)
    assert holes.any() and (own[~holes] == plain[~holes]).all()
    x = toy.train.images[Loader.training(toy, 8, 3).order(0)[:8]].astype(np.float32)
    np.testing.assert_array_equal(plain, (x - np.float32([1, 2])) / np.float32([3, 4]))


def test_control_c_between_two_locks_is_control_c():
    """CPython's condition variable answers a Ctrl-C at the wrong moment with a RuntimeError."""
    class Unlucky(Future):
        def result(self, timeout=None):
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("cannot release un-acquired lock")
    with pytest.raises(KeyboardInterrupt):
        prefetch._result(Unlucky())
    failed = Future()
    failed.set_exception(RuntimeError("an error of the work"))
    with pytest.raises(RuntimeError, match="an error of the work"):
        prefetch._result(failed)
