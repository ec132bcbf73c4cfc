"""Launches over a stub driver: what arrives at a kernel, what is refused, and what is said of a kernel that fails."""
from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.cuda.language import float32, int32, kernel

from tinygradconv.backends.cuda.allocator import Allocator
from tinygradconv.backends.cuda.launch import Launcher
from tinygradconv.backends.cuda.report import Compiled, Report
from tinygradconv.backends.cuda.transfer import Transfers

from . import kernels
from .stub import WIDTHS, StubDriver

REPORT = Report(8, 0, 0, 0, 0)


class Place:
    """A launcher over a stub, with the kernels that it compiled; its kernels do what `runs` says by name."""

    def __init__(self, runs=None, blocking=False):
        self.driver, self.compiled, self.runs = StubDriver(), [], runs or {}
        self.allocator, self.transfers = Allocator(self.driver), Transfers(self.driver, 64)
        self.device = Launcher(self.driver, self.allocator, self.compile, lambda: blocking)

    def compile(self, made, architecture):
        self.compiled.append((made.label, architecture))
        self.driver.functions[made.name] = [kind for _, kind in made.parameters], self.runs.get(made.name, lambda *_: None)
        return Compiled(made.name, b"", REPORT)

    def array(self, values):
        made = self.device.empty(values.shape, values.dtype)
        self.transfers.to_device(values, made.pointer)
        return made

    def numpy(self, array):
        found = np.empty(array.shape, array.dtype)
        self.transfers.to_host(array.pointer, found)
        return found


def floats(pointer, count):
    return np.frombuffer((WIDTHS["float32"] * count).from_address(pointer), np.float32)


def axpy(a, x, y, n):
    floats(y, n)[:] += 3 * a * floats(x, n)


AXPY = kernels.axpy(float32)


def test_a_kernel_gets_its_arguments_and_its_result_comes_back():
    place = Place({"axpy": axpy})
    x, y = place.array(np.arange(5, dtype=np.float32)), place.array(np.ones(5, np.float32))
    place.device.launch(AXPY, 1, 2.0, x, y, 5)
    assert place.numpy(y).tolist() == [1, 7, 13, 19, 25]
    assert ("launch", "axpy", (1, 1, 1), 256, 0) in place.driver.calls


def test_a_kernel_is_compiled_and_loaded_once_for_the_gpu_that_is_there():
    place = Place()
    x = place.device.empty((3,), np.float32)
    for _ in range(3):
        place.device.launch(AXPY, 1, 1.0, x, x, 3)
    assert place.compiled == [("axpy[T=float32]", "sm_90")] and sum(call[0] == "load" for call in place.driver.calls) == 1
    assert len(place.driver.launches) == 3


def test_a_kernel_of_one_gpu_alone_is_compiled_for_it():
    place = Place()
    place.device.launch(kernel("n: int32", threads=128, only="sm_90a")(lambda n: None), 1, 3)
    assert place.compiled[0][1] == "sm_90a" and place.device.architecture == place.driver.architecture


def test_dynamic_shared_memory_is_asked_for():
    place = Place()
    large = kernel("n: int32", threads=64, shared=100 << 10)(lambda n: None)
    place.device.launch(large, 7, 1)
    assert ("load", "<lambda>", 100 << 10) in place.driver.calls and ("launch", "<lambda>", (7, 1, 1), 64, 100 << 10) in place.driver.calls


@pytest.mark.parametrize(("grid", "blocks"), [(5, (5, 1, 1)), ((5,), (5, 1, 1)), ((5, 4), (5, 4, 1)), ((5, 4, 3), (5, 4, 3))])
def test_a_grid_has_up_to_three_axes(grid, blocks):
    place = Place()
    place.device.launch(kernels.reverse(32), grid, place.device.empty((2,), np.float32))
    assert place.driver.calls[-1] == ("launch", "reverse", blocks, 32, 0)


@pytest.mark.parametrize("grid", [0, (0, 3), (2, 0)])
def test_nothing_is_started_for_nothing(grid):
    place = Place()
    place.device.launch(kernels.reverse(32), grid, place.device.empty((0,), np.float32))
    assert not place.driver.launches


@given(st.data())
def test_every_type_of_number_arrives_as_it_is(data):
    kinds = data.draw(st.lists(st.sampled_from([*WIDTHS, "float32*"]), min_size=0, max_size=9))
    place, values = Place(), []
    for kind in kinds:
        if kind.endswith("*"):
            values.append(place.device.empty((1,), np.float32))
        elif kind.startswith("float"):
            values.append(data.draw(st.floats(width=int(kind[5:]), allow_nan=False)))
        else:
            limits = np.iinfo(kind)
            values.append(data.draw(st.integers(int(limits.min), int(limits.max))))
    names = [f"p{i}" for i in range(len(kinds))]
    function = eval(f"lambda {', '.join(names)}: None")
    if kinds:
        made = kernel(", ".join(f"{name}: {kind}" for name, kind in zip(names, kinds)), threads=32)(function)
        place.device.launch(made, 1, *values)
        arrived = [getattr(value, "pointer", value) for value in values]
        assert list(place.driver.launches[-1][1:]) == arrived


def test_numpy_scalars_booleans_and_none_are_arguments_too():
    place = Place()
    made = kernel("x: float32*, flags: uint8*, n: int64, a: float32", threads=32)(lambda x, flags, n, a: None)
    flags = place.device.empty((4,), np.bool_)
    place.device.launch(made, 1, None, flags, np.int64(7), np.float64(0.5))
    assert place.driver.launches == [("<lambda>", 0, flags.pointer, 7, 0.5)]


@pytest.mark.parametrize(("arguments", "said"), [
    (lambda x, i: (1.0, x, x), r"axpy\[T=float32\] takes 4 arguments \(a: float32, x: float32\*, y: float32\*, n: int64\), got 3"),
    (lambda x, i: (1.0, x, i, 3), r"axpy\[T=float32\]: y must be a CudaArray of float32 or None, got a CudaArray of int32"),
    (lambda x, i: (1.0, np.zeros(3, np.float32), x, 3), r"axpy\[T=float32\]: x must be a CudaArray of float32 or None, got ndarray"),
    (lambda x, i: (1.0, x.pointer, x, 3), r"axpy\[T=float32\]: x must be a CudaArray of float32 or None, got int"),
    (lambda x, i: (1.0, x, x, 1 << 63), r"axpy\[T=float32\] on \(1, 1, 1\) blocks of 256 threads with a=1.0, x float32 \(3,\), .*: "),
    (lambda x, i: ("1", x, x, 3), r"a='1', .*: required argument is not a float; it takes a: float32, x: float32\*"),
    (lambda x, i: (1.0, x, x, 3.5), r"n=3.5: required argument is not an integer; it takes"),
    (lambda x, i: (x, x, x, 3), r"a float32 \(3,\), .*: required argument is not a float")])
def test_an_argument_that_does_not_fit_is_named(arguments, said):
    place = Place()
    x, i = place.device.empty((3,), np.float32), place.device.empty((3,), np.int32)
    with pytest.raises(TypeError, match=said):
        place.device.launch(AXPY, 1, *arguments(x, i))
    assert not place.driver.launches


def test_a_refused_launch_names_the_kernel_and_the_shapes():
    place = Place()
    x = place.device.empty((3, 2), np.float32)
    place.driver.fails.append(("launch", "CUDA_ERROR_INVALID_VALUE"))
    with pytest.raises(RuntimeError) as refused:
        place.device.launch(AXPY, (1, 1 << 20), 1.0, x, x, 6)
    assert str(refused.value) == ("axpy[T=float32] on (1, 1048576, 1) blocks of 256 threads with a=1.0, x float32 (3, 2), "
                                  "y float32 (3, 2), n=6: launch: CUDA_ERROR_INVALID_VALUE")


def test_an_error_that_shows_later_says_how_to_learn_whose_it_is():
    place = Place()
    x = place.device.empty((3,), np.float32)
    place.driver.fails.append(("launch", "CUDA_ERROR_ILLEGAL_ADDRESS"))
    with pytest.raises(RuntimeError, match=r"n=3: launch: CUDA_ERROR_ILLEGAL_ADDRESS \(a kernel reached outside its arrays\)\. "
                                           r"It, or a kernel started before it, went wrong: TGC_LAUNCH_BLOCKING=1 says which"):
        place.device.launch(AXPY, 1, 1.0, x, x, 3)


def test_a_blocking_launch_waits_and_says_that_it_was_this_kernel():
    place = Place(blocking=True)
    x = place.device.empty((3,), np.float32)
    place.device.launch(AXPY, 1, 1.0, x, x, 3)
    assert place.driver.calls[-1] == ("synchronize",)
    place.driver.fails.append(("synchronize", "CUDA_ERROR_MISALIGNED_ADDRESS"))
    with pytest.raises(RuntimeError, match=r"^axpy\[T=float32\] on .*n=3: synchronize: CUDA_ERROR_MISALIGNED_ADDRESS \(.*\)\. "
                                           r"No more can be computed on the GPU by this process$"):
        place.device.launch(AXPY, 1, 1.0, x, x, 3)


def test_launches_from_several_threads_keep_their_arguments_apart():
    place = Place()
    made = kernel("a: int64, b: int64, c: int64", threads=32)(lambda a, b, c: None)

    def work(number):
        for turn in range(300):
            place.device.launch(made, 1, number, turn, number)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(place.driver.launches) == sorted(("<lambda>", number, turn, number) for number in range(4) for turn in range(300))


def test_a_kernel_that_does_not_compile_is_tried_again():
    place = Place()
    calls = []

    def compile(made, architecture):
        calls.append(made)
        if len(calls) == 1:
            raise RuntimeError("axpy does not compile")
        return place.compile(made, architecture)
    device, x = Launcher(place.driver, place.allocator, compile), place.device.empty((1,), np.float32)
    with pytest.raises(RuntimeError, match="axpy does not compile"):
        device.launch(AXPY, 1, 1.0, x, x, 1)
    device.launch(AXPY, 1, 1.0, x, x, 1)
    assert len(place.driver.launches) == 1


# Numbers that kernels read from memory.

@pytest.mark.parametrize(("value", "dtype"), [(0.1, "float64"), (0.1, "float32"), (-3, "int64"), (2 ** 64 - 5, "uint64"), (7, "int32")])
def test_a_number_is_an_array_of_one_element(value, dtype):
    place = Place()
    made = place.device.number(value, dtype)
    assert (made.shape, made.dtype) == ((1,), dtype) and place.numpy(made)[0] == np.dtype(dtype).type(value)


def test_a_number_is_put_there_once():
    place = Place()
    first = place.device.number(0.1, "float64")
    assert place.device.number(0.1, "float64") is first and place.device.number(0.1, "float32") is not first
    assert place.device.number(0.0, "float64") is not place.device.number(-0.0, "float64")
    for i in range(300):
        place.device.number(i, "int64")
    assert place.numpy(place.device.number(0.1, "float64"))[0] == 0.1


# Arrays.

def test_an_array_is_a_pointer_with_a_shape_and_keeps_its_memory():
    place = Place()
    x = place.device.empty((2, 3, 4), np.float64)
    assert (x.ndim, x.size, x.itemsize, x.nbytes, x.strides, len(x), x.device) == (3, 24, 8, 192, (96, 32, 8), 2, "cuda")
    view = x.reshape((6, 4))
    del x
    assert place.allocator.statistics()["in_use"] == 192 and view.shape == (6, 4)
    del view
    assert place.allocator.statistics()["in_use"] == 0
    assert place.device.empty((), np.float32).size == 1 and place.device.empty((3, 0), np.float32).nbytes == 0


def test_what_an_array_cannot_do_is_said():
    place = Place()
    x = place.device.empty((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"reshape: \(2, 3\) has 6 elements, \(4, 2\) has 8"):
        x.reshape((4, 2))
    with pytest.raises(TypeError, match=r"this array is on the GPU and NumPy cannot read it. Use x.to\('cpu'\)"):
        np.asarray(x)
    with pytest.raises(ValueError, match=r"empty: every axis must be at least 0, got shape \(2, -1\)"):
        place.device.empty((2, -1), np.float32)
    with pytest.raises(TypeError, match="no axes has no length"):
        len(place.device.empty((), np.float32))
    assert repr(x) == f"CudaArray(shape=(2, 3), dtype=float32, pointer=0x{x.pointer:x})"


def test_int32_of_the_language_is_a_number_for_a_launch():
    place = Place()
    place.device.launch(kernel("n: int32", threads=32)(lambda n: None), 1, int32(5))
    assert place.driver.launches == [("<lambda>", 5)]
