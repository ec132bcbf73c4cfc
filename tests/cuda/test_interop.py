"""Arrays shared with other libraries: NumPy and torch, told that the host's memory is a GPU's, read ours and lend us theirs."""
from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv import Tensor
from tinygradconv.backends.cuda import dlpack, interop

from .emulated import DefinedBackend

THEIRS = 7                                  # another library's stream


class Described:
    """Another library's array, as the CUDA array interface has it."""

    def __init__(self, said):
        self.__cuda_array_interface__ = said


class Lending:
    """Another library's array, as DLPack has it: `make()` is its capsule; `asked` are the streams that takers named."""

    def __init__(self, make):
        self.make, self.asked = make, []

    def __dlpack__(self, *, stream):
        self.asked.append(stream)
        return self.make()

    def __dlpack_device__(self):
        return 2, 0


class Host:
    """A capsule as an object, for np.from_dlpack and torch.from_dlpack."""

    def __init__(self, make):
        self.make = make

    def __dlpack__(self, **options):
        return self.make()

    def __dlpack_device__(self):
        return 1, 0


def described(values, **more):
    """The CUDA array interface of an array of the host."""
    return {"shape": values.shape, "typestr": values.dtype.str, "data": (values.ctypes.data, False), "version": 3, **more}


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


DTYPES = st.sampled_from([np.dtype(name) for name in ("bool", "int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64")])


# The CUDA array interface.

def test_our_arrays_are_described(gpu):
    x = Tensor(numbers(2, 3)).to("cuda")
    said = x.__cuda_array_interface__
    assert said == {"shape": (2, 3), "typestr": "<f4", "data": (x.data.pointer, False), "version": 3, "strides": None,
                    "stream": int(gpu.driver.compute)}
    assert Tensor(np.zeros((2, 0), bool)).to("cuda").__cuda_array_interface__["data"] == (0, False)
    assert Tensor(numbers(2)[None]).data.ndim == 2 and not hasattr(Tensor(numbers(2)), "__cuda_array_interface__")
    gpu.synchronize()
    assert (ctypes.c_float * 6).from_address(said["data"][0])[:] == numbers(2, 3).reshape(-1).tolist()


@given(DTYPES, st.lists(st.integers(0, 3), max_size=3))
def test_an_array_that_is_described_is_shared(dtype, shape):
    made, values = DefinedBackend(), np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    found = made.taken(Described(described(values)))
    assert found.pointer == values.ctypes.data
    np.testing.assert_array_equal(made.to_numpy(found), values, strict=True)


def test_what_is_shared_is_seen_and_what_is_copied_is_not(gpu):
    values = numbers(2, 3)
    shared, copied = tgc.from_dlpack(Described(described(values))), Tensor(Described(described(values)))
    assert copied.tolist() == values.tolist()
    values[0, 0] = 5
    assert shared[0, 0].item() == 5 != copied[0, 0].item()
    assert Tensor(Described(described(values)), dtype="float64").dtype == np.float64
    assert tgc.add(shared, Described(described(values))).device == "cuda"
    assert tgc.from_dlpack(shared).data is shared.data


@pytest.mark.parametrize("look", [lambda a: a.T, lambda a: a[::2, 1:], lambda a: a[::-1]])
def test_an_array_that_lies_anyhow_is_copied(gpu, look):
    values = look(numbers(4, 3))
    found = tgc.from_dlpack(Described(described(values, strides=values.strides)))
    assert np.array_equal(found.numpy(), values) and found.data.pointer != values.ctypes.data
    row = numbers(1, 3)
    assert tgc.from_dlpack(Described(described(row, strides=(400, 4)))).data.pointer == row.ctypes.data      # along one there is no step


@pytest.mark.parametrize(("more", "first"), [({"stream": THEIRS}, THEIRS), ({"stream": 1}, 1), ({"stream": None}, None), ({}, None),
                                             ({"version": 2}, 1)])
def test_our_stream_waits_for_the_one_that_is_named(gpu, more, first):
    values, late = np.zeros(2, np.float32), [3, 4]
    if first is not None:
        gpu.driver.streams[first].append(lambda: values.__setitem__(slice(None), late))           # what the other library still has to do
    found = tgc.from_dlpack(Described(described(values, **more))) * 2
    assert found.tolist() == ([6, 8] if first is not None else [0, 0])
    waits = [call for call in gpu.driver.calls if call in (("record", first), ("wait", gpu.driver.compute))]
    assert (waits[:2] == [("record", first), ("wait", gpu.driver.compute)]) == (first is not None)


@pytest.mark.parametrize(("said", "problem"), [
    ({"typestr": "<f2"}, "a Tensor holds bool, integers, float32 or float64; got a tests Described of float16"),
    ({"typestr": "<c8"}, "got a tests Described of complex64"), ({"mask": object()}, "a tests Described has a mask, and a Tensor has none"),
    ({"stream": 0}, "a tests Described names stream 0, which could be either default stream; its library must say 1 or 2")])
def test_what_cannot_be_shared_is_said(gpu, said, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        tgc.from_dlpack(Described({**described(numbers(2)), **said}))


# DLPack, as NumPy and torch speak it.

@given(DTYPES, st.lists(st.integers(0, 3), max_size=3))
def test_numpy_reads_our_capsules(dtype, shape):
    made, values = DefinedBackend(), np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    array = made.asarray(values)
    made.synchronize()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dlpack, "DEVICE", (1, 0))                                # the host's memory, which it is
        found = np.from_dlpack(Host(lambda: interop.lent(made, array)))
    np.testing.assert_array_equal(found, values, strict=True)
    assert not values.size or found.ctypes.data == array.pointer


def test_torch_reads_our_capsules_and_gives_them_back(gpu, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(dlpack, "DEVICE", (1, 0))
    before, arrays = len(dlpack._lent), [gpu.asarray(numbers(3, 4))]
    pointer = arrays[0].pointer
    gpu.synchronize()
    found = torch.from_dlpack(Host(lambda: interop.lent(gpu, arrays.pop())))
    assert found.shape == (3, 4) and found.data_ptr() == pointer and found.tolist() == numbers(3, 4).tolist()
    assert len(dlpack._lent) == before + 1 and gpu.empty((3, 4), np.float32).pointer != pointer      # the memory lives as long as they do
    del found
    gc.collect()
    assert len(dlpack._lent) == before and gpu.empty((3, 4), np.float32).pointer == pointer


@given(DTYPES, st.lists(st.integers(0, 3), max_size=3))
def test_capsules_of_numpy_are_read(dtype, shape):
    made, values = DefinedBackend(), np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    lender = Lending(values.__dlpack__)
    found = made.taken(lender)
    np.testing.assert_array_equal(made.to_numpy(found), values, strict=True)
    assert lender.asked == [int(made.driver.compute)] and (not values.size or found.pointer == values.ctypes.data)


def test_capsules_of_torch_are_read_however_they_lie(gpu):
    torch = pytest.importorskip("torch")
    values = torch.arange(12.0).reshape(3, 4)
    found = tgc.from_dlpack(Lending(lambda: torch.utils.dlpack.to_dlpack(values)))
    assert found.data.pointer == values.data_ptr() and found.tolist() == values.tolist()
    turned = tgc.from_dlpack(Lending(lambda: torch.utils.dlpack.to_dlpack(values.T[1:])))
    assert turned.tolist() == values.T[1:].tolist()
    with pytest.raises(TypeError, match="got a tests Lending of DLPack's type 4, 16 bits"):
        tgc.from_dlpack(Lending(lambda: torch.utils.dlpack.to_dlpack(values.bfloat16())))


def test_borrowed_memory_is_given_back_once_the_gpu_is_done_with_it(gpu):
    values, events = np.ones(3, np.float32), []

    class Lender(Described):
        def __del__(self):
            events.append(("given back", bool(gpu.driver.streams[gpu.driver.compute])))
    found = Tensor.of(gpu.taken(Lender(described(values))))
    doubled = found * 2
    del found
    gc.collect()
    assert events == [("given back", False)] and doubled.tolist() == [2, 2, 2]
    assert values.__dlpack__.__self__ is values                                # numbers are the owner's still


def test_a_capsule_is_opened_once(gpu):
    values = numbers(2)
    capsule = values.__dlpack__()
    tgc.from_dlpack(Lending(lambda: capsule))
    with pytest.raises(ValueError, match="a tests Lending gave something that is no DLPack capsule, or that has been opened before"):
        tgc.from_dlpack(Lending(lambda: capsule))
    before = len(dlpack._lent)
    unopened = Tensor(values).to("cuda").__dlpack__()
    assert len(dlpack._lent) == before + 1
    dlpack.sweep()
    assert len(dlpack._lent) == before + 1                                      # it may still be opened
    del unopened
    dlpack.sweep()
    assert len(dlpack._lent) == before


def test_another_gpus_array_is_refused(gpu):
    x = Tensor(numbers(2)).to("cuda")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dlpack, "DEVICE", (2, 1))
        capsule = x.__dlpack__()
    with pytest.raises(ValueError, match="a tests Lending is on GPU 1, and tinygradconv computes on GPU 0. Move it there first"):
        tgc.from_dlpack(Lending(lambda: capsule))


@pytest.mark.parametrize(("stream", "waits"), [(None, 1), (1, 1), (2, 2), (THEIRS, THEIRS), (-1, None)])
def test_the_takers_stream_waits_for_ours_and_ours_for_theirs_afterwards(gpu, stream, waits):
    x = Tensor(numbers(2)).to("cuda")
    gpu.synchronize()
    start = len(gpu.driver.calls)
    capsule = x.__dlpack__(stream=stream)
    order = [call for call in gpu.driver.calls[start:] if call[0] in ("record", "wait")]
    assert order == ([] if waits is None else [("record", gpu.driver.compute), ("wait", waits)])
    start = len(gpu.driver.calls)
    del capsule
    dlpack.sweep()
    order = [call for call in gpu.driver.calls[start:] if call[0] in ("record", "wait")]
    assert order == ([] if waits is None else [("record", waits), ("wait", gpu.driver.compute)])


def test_what_a_taker_may_not_ask_for(gpu):
    x = Tensor(numbers(2)).to("cuda")
    assert x.__dlpack_device__() == (2, 0) and Tensor(numbers(2)).__dlpack_device__() == (1, 0)
    with pytest.raises(ValueError, match=r"__dlpack__: stream 0 could be either default stream. Give 1 \(legacy\) or 2 \(per thread\)"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError, match=r"this tensor is on the GPU \(2, 0\), and device \(1, 0\) is asked for. Use x.to\('cpu'\)"):
        x.__dlpack__(dl_device=(1, 0))
    with pytest.raises(RuntimeError, match="Unsupported device"):
        np.from_dlpack(x)
    lent = dlpack.opened(x.__dlpack__(copy=True), "a copy")[0]
    assert lent.pointer != x.data.pointer


def test_from_dlpack_takes_arrays_of_the_host_too():
    values = numbers(3)
    assert np.may_share_memory(tgc.from_dlpack(values).data, values)
    with pytest.raises(TypeError, match="from_dlpack: x must be an array with __dlpack__ or __cuda_array_interface__, got list"):
        tgc.from_dlpack([1.0])
