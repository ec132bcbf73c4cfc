"""What happens when operands of different types meet, on either side of an operator."""
from __future__ import annotations

import operator

import numpy as np
import pytest

from tinygradconv.ops import elementwise as ew
from tinygradconv.tensor import Tensor

F32, F64, I64, U8, BOOL = (Tensor(np.ones(2, dtype)) for dtype in ("float32", "float64", "int64", "uint8", "bool"))


@pytest.mark.parametrize(("a", "b", "expected"), [
    (F32, F64, "float64"), (F32, I64, "float32"), (F64, U8, "float64"), (F32, BOOL, "float32"), (I64, U8, "int64"), (U8, BOOL, "uint8"),
    (F32, 1, "float32"), (F32, 1.5, "float32"), (F64, 1.5, "float64"), (F32, True, "float32"), (I64, 2, "int64"), (I64, 1.5, "float32"),
    (U8, 3, "uint8"), (U8, 0.5, "float32"), (BOOL, 2, "int64"), (BOOL, 0.5, "float32"), (BOOL, True, "bool"),
    (F32, np.ones(2, "float32"), "float32"), (F32, np.ones(2), "float64"), (F32, np.float32(2), "float32"), (F32, np.float64(2), "float64"),
    (F32, [1.0, 2.0], "float32"), (I64, [1, 2], "int64"),
], ids=str)
def test_the_result_dtype_of_every_pair(a, b, expected):
    for y in (a + b, b + a, a * b, ew.maximum(b, a)):
        assert type(y) is Tensor and y.dtype == expected


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow])
@pytest.mark.parametrize("other", [3, 2.5, np.array([2.0, 4.0], "float32"), np.float32(2), [2.0, 4.0]], ids=str)
def test_operators_take_arrays_and_numbers_on_either_side(op, other):
    x = np.array([1.5, 5.0], "float32")
    array = np.asarray(other, "float32")
    for got, expected in ((op(Tensor(x), other), op(x, array)), (op(other, Tensor(x)), op(array, x))):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("op", [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
def test_comparisons_take_arrays_and_numbers_on_either_side(op):
    x = np.array([1, 2, 3])
    for other in (2, 2.0, np.array([3, 2, 1])):
        assert op(Tensor(x), other).tolist() == op(x, other).tolist() and op(Tensor(x), other).dtype == np.bool_
        assert np.asarray(op(other, Tensor(x))).tolist() == op(other, x).tolist()


def test_logic_is_for_bool_only():
    a, b = Tensor([True, False]), np.array([True, True])
    assert (a & b).tolist() == [True, False] and (b | a).tolist() == [True, True]
    assert (a ^ True).tolist() == [False, True] and (~a).tolist() == [False, True]
    for call in (lambda: Tensor([1]) & 1, lambda: a | 1, lambda: ~Tensor([1]), lambda: 1 ^ a):
        with pytest.raises(TypeError, match="works on bool tensors"):
            call()


def test_an_augmented_assignment_rebinds():
    x = before = Tensor([1.0], requires_grad=True)
    x += 1
    x *= Tensor([3.0])
    assert x.tolist() == [6.0] and before.tolist() == [1.0]
    x.sum().backward()
    assert before.grad.tolist() == [3.0]


def test_what_no_op_knows_is_left_to_python():
    x = Tensor([1.0])
    assert (x == None) is False and (x != "a") is True      # noqa: E711
    for call in (lambda: x + "a", lambda: None * x, lambda: x < "a", lambda: x + {}):
        with pytest.raises(TypeError, match="unsupported operand|not supported between"):
            call()


def test_numbers_that_do_not_fit_and_dtypes_that_no_tensor_holds_are_refused():
    with pytest.raises(ValueError, match="add: 300 does not fit into uint8"):
        U8 + 300
    with pytest.raises(TypeError, match=r"multiply: an operand must be a tensor, an array or a number; got ndarray: .* got float16"):
        F32 * np.ones(2, "float16")
    with pytest.raises(TypeError, match="exp: .*complex64"):
        ew.exp(np.ones(2, "complex64"))


def test_a_gradient_comes_back_in_the_dtype_of_its_input():
    x = Tensor([1.0], requires_grad=True)
    (x * Tensor(np.array([2.0]))).sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [2.0]
