"""What a tensor is: copies and views, Python's and NumPy's protocols, exchange with other libraries."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.tensor import Tensor


def test_a_tensor_copies_what_it_is_made_from():
    a = np.zeros(3, "float32")
    x = Tensor(a)
    y = Tensor(x)
    a[0] = 1
    assert x.tolist() == [0, 0, 0] and not np.shares_memory(x.data, y.data)
    assert x.data.flags.c_contiguous and Tensor(np.zeros((2, 3)).T).data.flags.c_contiguous


@pytest.mark.parametrize(("values", "dtype"), [
    (1, "int64"), (1.5, "float32"), (True, "bool"), ([1, 2], "int64"), ([[1.0]], "float32"), ([], "float32"), (range(3), "int64"),
    (np.zeros(2), "float64"), (np.zeros(2, "uint8"), "uint8"), (np.zeros(2, ">f4"), "float32")])
def test_dtypes_of_new_tensors(values, dtype):
    assert Tensor(values).dtype == dtype and Tensor(values).dtype.isnative


@pytest.mark.parametrize("values", [np.zeros(2, "float16"), 1j, "text", [None], np.zeros(2, "complex64"), np.array(["a"])])
def test_other_dtypes_are_refused(values):
    with pytest.raises(TypeError, match="a Tensor holds bool, integers, float32 or float64; got"):
        Tensor(values)


def test_numpy_sees_a_read_only_view():
    x = Tensor([1.0, 2.0])
    for view in (x.numpy(), np.asarray(x)):
        assert np.shares_memory(view, x.data)
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 5
    copy = np.array(x)
    copy[0] = 5
    assert x.tolist() == [1, 2]
    assert np.asarray(x, "float64").dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, "float64", copy=False)


def test_numpy_functions_ask_the_tensor():
    x = Tensor([4.0], requires_grad=True)
    y = np.array([2.0], "float32") * x
    assert type(y) is Tensor and y.requires_grad
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.sqrt(x)


def test_dlpack_shares_memory_with_numpy_and_torch():
    x = Tensor(np.arange(6, dtype="float32").reshape(2, 3))
    assert np.shares_memory(np.from_dlpack(x), x.data)
    torch = pytest.importorskip("torch")
    theirs = torch.from_dlpack(x.T)
    assert theirs.data_ptr() == x.data.ctypes.data and theirs.tolist() == x.T.tolist()
    assert torch.from_dlpack(Tensor([True, False])).tolist() == [True, False]
    assert Tensor(np.from_dlpack(torch.ones(2))).tolist() == [1, 1]


def test_a_tensor_of_another_library_is_an_array():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    assert Tensor(theirs).dtype == np.float64 and tgc.multiply(np.ones((2, 3)), theirs).tolist() == theirs.tolist()
    assert not np.shares_memory(Tensor(theirs).data, theirs.numpy()) and Tensor(torch.tensor(3)).item() == 3
    for refused, said in ((torch.ones(2, requires_grad=True), "torch Tensor cannot be read: .*gradient"), (torch.ones(2).half(), "float16"),
                          (torch.ones(2).bfloat16(), "torch Tensor cannot be read")):
        with pytest.raises(TypeError, match=said):
            Tensor(refused)


def test_dlpack_copies_what_is_read_backwards():
    x = Tensor([1.0, 2.0])[::-1]                              # torch's process would end at a negative stride
    assert np.from_dlpack(x).tolist() == [2, 1] and not np.shares_memory(np.from_dlpack(x), x.data)
    assert pytest.importorskip("torch").from_dlpack(x).tolist() == [2, 1]
    with pytest.raises(BufferError, match="backwards"):
        x.__dlpack__(copy=False)


def test_iteration_and_length():
    x = Tensor([[1, 2], [3, 4], [5, 6]])
    assert len(x) == 3 and [row.tolist() for row in x] == [[1, 2], [3, 4], [5, 6]] and 5 in x and 7 not in x
    a, b, c = x
    assert np.shares_memory(b.data, x.data)
    for call in (len, list):
        with pytest.raises(TypeError, match="no axes has no length"):
            call(x[0, 0])


def test_one_value_is_a_python_number():
    assert float(Tensor([2.5])) == 2.5 and int(Tensor(3)) == 3 and bool(Tensor([[1]])) and [10, 20][Tensor(1)] == 20
    assert type(Tensor(2.5).item()) is float and f"{Tensor(2.5).item():.2f}" == "2.50"
    with pytest.raises(ValueError, match=r"item\(\) needs exactly one value; this tensor has shape \(2,\)"):
        Tensor([1, 2]).item()
    with pytest.raises(ValueError, match="the truth of a tensor with 2 values is ambiguous"):
        bool(Tensor([1, 2]))
    for bad in (Tensor(1.0), Tensor([1])):
        with pytest.raises(TypeError, match="only an integer tensor with no axes is an index"):
            [10, 20][bad]


def test_what_a_tensor_looks_like():
    x = Tensor([1.0, 2.5], requires_grad=True)
    assert repr(x) == "Tensor([1. , 2.5], requires_grad=True)" and repr(x * 2) == "Tensor([2., 5.], made by multiply)"
    assert repr(Tensor([1])) == "Tensor([1])" and repr(Tensor(np.zeros(1))) == "Tensor([0.], dtype=float64)"
    assert "..." in repr(Tensor(np.zeros(1000)))


def test_values_do_not_change_in_place():
    x = Tensor([1.0])
    with pytest.raises(TypeError, match=r"does not support x\[...\] = value.* use where\(\), concat\(\) or scatter_add\(\)"):
        x[0] = 2.0


def test_a_tensor_is_a_key_by_identity():
    x, y = Tensor([1.0]), Tensor([1.0])
    assert {x: 1, y: 2}[x] == 1 and len({x, y}) == 2


def test_only_floating_tensors_have_gradients():
    with pytest.raises(TypeError, match="only floating tensors have gradients; this one is int64"):
        Tensor([1], requires_grad=True)
    with pytest.raises(TypeError, match="has no gradient"):
        Tensor([1.0]).grad = None
    assert Tensor([1.0]).grad is None and not Tensor([1.0], requires_grad=True).detach().requires_grad


def test_attributes():
    x = Tensor(np.zeros((2, 3), "float32"))
    assert (x.shape, x.ndim, x.size, x.nbytes, x.device, x.version) == ((2, 3), 2, 6, 24, "cpu", 0)
    assert x.to("cpu") is x
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'gpu'"):
        x.to("gpu")


def test_gradients_add_up_until_they_are_set_to_none():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]
    x.grad = None
    assert x.grad is None and tgc.grad((x * 3).sum(), x).tolist() == [3, 3]
