"""What is read from an array's C structure is what NumPy says of it, whatever kind of array it is; and the check on import can fail."""
from __future__ import annotations

import importlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tinygradconv._compiled import isa, memory

from tinygradconv import arrays
from tinygradconv.backends import CPU

STRUCTURED = np.dtype([("a", "i2"), ("b", "f8")])


def assert_read(array):
    """dtype_of, shape_of, is_scattered and address_of against the attributes themselves."""
    assert arrays.dtype_of(array) == array.dtype
    assert arrays.shape_of(array) == array.shape
    assert arrays.is_scattered(array) is (isinstance(array, np.ndarray) and not array.flags.c_contiguous)
    if isinstance(array, np.ndarray):
        assert arrays.address_of(array) == array.__array_interface__["data"][0]


@given(dtype=st.sampled_from(["f4", ">f8", "?", "i1", ">u2", STRUCTURED, "U3"]),
       shape=hnp.array_shapes(min_dims=0, max_dims=6, min_side=0, max_side=4), data=st.data())
def test_any_view_of_any_array(dtype, shape, data):
    array = np.zeros(shape, dtype)
    assert_read(array)
    assert_read(array.T)
    assert_read(array[data.draw(hnp.basic_indices(array.shape, allow_newaxis=True, allow_ellipsis=True))])


def test_subclasses_scalars_and_many_axes(tmp_path):
    mapped = np.memmap(tmp_path / "values", np.float32, "w+", shape=(3, 4))
    record = np.zeros(3, STRUCTURED).view(np.recarray)
    for array in (mapped, mapped[:, ::2], np.ma.masked_array([1.0, 2.0], [True, False]), record, record.b,
                  np.zeros((1, 2)).view(np.matrix), np.zeros((2, 3)).view(np.matrix).T,
                  np.zeros((1,) * 20 + (2,)), np.float32(3), np.array(3.0)):
        assert_read(array)


@pytest.mark.parametrize("shape, axis", [((1, 5), 0), ((5, 1), 1), ((0, 3), 0), ((3, 0), 1), ((1, 1), 0)])
def test_an_axis_of_length_one_or_none_scatters_nothing(shape, axis):
    """Its stride is never used, so such a view needs no copy."""
    view = np.flip(np.zeros(shape), axis)
    assert not arrays.is_scattered(view)
    assert not arrays.is_scattered(np.lib.stride_tricks.as_strided(np.zeros(8), (1, 5), (123, 8)))


@given(shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3), data=st.data())
def test_repeating_along_axes_is_broadcasting_what_has_length_one_there(shape, data):
    axes = data.draw(st.sets(st.integers(0, max(0, len(shape) - 1)), max_size=len(shape)).map(tuple))
    whole = [1 if i in axes else n for i, n in enumerate(shape)]
    array = np.arange(np.prod(whole, dtype=int), dtype=np.float32).reshape(whole)
    for given_array in array, array.reshape([n for i, n in enumerate(shape) if i not in axes]), np.array(array, order="F"):
        for repeated in arrays.repeated, memory.repeated:
            view = repeated(given_array, shape, axes)
            np.testing.assert_array_equal(view, np.broadcast_to(array, shape))
            assert view.shape == shape and not view.flags.writeable and (view.size == 0 or np.shares_memory(view, given_array))


@pytest.mark.parametrize("lengths", [(3,), (2, 3), (4, 1), (2, 4, 4)])
def test_what_does_not_lie_along_the_other_axes_is_not_repeated(lengths):
    for repeated in arrays.repeated, memory.repeated:
        with pytest.raises(ValueError, match="reshape"):
            repeated(np.zeros(lengths), (2, 4, 5), (2,))
    with pytest.raises(ValueError, match="axis 3"):
        memory.repeated(np.zeros((2, 4, 5)), (2, 4, 5), (3,))


def test_who_shares_memory_with_whom():
    x = np.arange(24.0).reshape(2, 3, 4)
    pooled = memory.array((2, 3, 4), np.float64)
    for whole in x, pooled, np.arange(24.0).reshape(2, 3, 4)[:, ::2]:
        for view in whole, whole[1:], whole.T, whole[..., None], whole[:, 1][..., None], whole.T[:2].T:
            assert arrays.share_memory(view, whole) and arrays.share_memory(view[...], whole)
            assert not arrays.share_memory(view.copy(), whole) and not arrays.share_memory(np.array(view, order="F").reshape(-1), whole)
    assert arrays.share_memory(np.lib.stride_tricks.as_strided(x, (2,), (8,)), x)
    assert not arrays.share_memory(x.T.reshape(24), x) and not arrays.share_memory(pooled[0], x)


@pytest.mark.parametrize("place, wrong", [
    (0, lambda array: False), (1, lambda array: array.shape[::-1]), (2, lambda array: np.dtype("int16"))])
def test_a_numpy_that_lies_otherwise_is_refused_on_import(place, wrong):
    questions = [arrays.is_scattered, arrays.shape_of, arrays.dtype_of]
    arrays.check_layout(*questions)
    questions[place] = wrong
    with pytest.raises(ImportError, match=r"where .* was expected, it found .*pip install 'numpy>=2,<3'"):
        arrays.check_layout(*questions)


@pytest.mark.parametrize("variant", isa.variants())
@pytest.mark.parametrize("array", [
    np.arange(6.0).reshape(2, 3).view(np.matrix), np.arange(6, dtype=">f8").reshape(2, 3), np.arange(6, dtype=np.float16).reshape(2, 3),
    np.arange(12.0).reshape(2, 6)[:, ::2], np.arange(6.0).reshape(2, 3)[::-1], np.arange(6.0).reshape(3, 2).T,
    np.arange(6.0).reshape(6, 1)[::2].T, np.float64(2.0), np.array(2.0), np.arange(6.0).reshape((1,) * 10 + (2, 3))])
def test_kernels_that_read_the_structure_take_any_operand(variant, array):
    """Those that they cannot read as they lie are left to NumPy."""
    module = importlib.import_module(f"tinygradconv._compiled.elementwise_{variant}")
    plain = np.array(array, np.float64)
    y = np.full(np.broadcast_shapes(plain.shape, (2, 3)), np.nan)
    module.binary(array, np.ones((2, 3)), y, "add")
    np.testing.assert_array_equal(y, np.broadcast_to(plain + 1, y.shape))
    y = np.full(plain.shape, np.nan)
    module.unary(array, y, "negative")
    np.testing.assert_array_equal(y, -plain)


@pytest.mark.parametrize("variant", isa.variants())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_copied_dtype_is_no_other_dtype(variant, dtype, monkeypatch):
    """Arrays out of a pickle or a deep copy have dtype objects of their own; all that is computed from them inherits those."""
    x = pickle.loads(pickle.dumps(np.arange(6, dtype=dtype).reshape(2, 3)))
    assert x.dtype is not np.dtype(dtype) and x.dtype == dtype
    elementwise, reduce = (importlib.import_module(f"tinygradconv._compiled.{idea}_{variant}") for idea in ("elementwise", "reduce"))
    for module in elementwise, reduce:
        monkeypatch.setattr(module, "reference", None)                 # so that to leave it to NumPy is an error
    for y in np.empty_like(x), np.empty((2, 3), dtype):
        elementwise.unary(x, y, "square")
        np.testing.assert_array_equal(y, [[0, 1, 4], [9, 16, 25]])
        elementwise.binary(np.ones(3, dtype), x, y, "add")
        np.testing.assert_array_equal(y, [[1, 2, 3], [4, 5, 6]])
        reduce.reduce(x, y[:1], "sum", (0,))
        np.testing.assert_array_equal(y[:1], [[3, 5, 7]])


def test_an_array_of_no_values_goes_through_every_kind_of_kernel():
    for shape in ((0,), (0, 3), (3, 0), (1, 0, 1)):
        x, y = np.zeros(shape, np.float32)[..., ::-1], np.zeros(shape, np.float32)
        CPU.run("binary", x, np.zeros((1,) * len(shape), np.float32), y, "add")
        CPU.run("unary", x, y, "exp")
        total = np.full((1,) * len(shape), np.nan, np.float32)
        CPU.run("reduce", x, total, "sum", tuple(range(len(shape))))
        assert total.item() == 0
