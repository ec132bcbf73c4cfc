"""Arithmetic, comparison and functions of one value, against NumPy and PyTorch."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, broadcasting, close, normal, shapes
from tinygradconv.ops import elementwise as ew
from tinygradconv.ops.power import pow
from tinygradconv.tensor import Tensor

BINARY = {"add": None, "subtract": None, "multiply": None, "divide": "true_divide", "maximum": None, "minimum": None, "remainder": None}
UNARY = {"negative": None, "square": None, "exp": None, "expm1": None, "sin": None, "cos": None, "tan": None, "sinh": None,
         "cosh": None, "tanh": None, "erf": None}
POSITIVE = ["log", "log1p", "sqrt"]


@pytest.mark.parametrize("name", BINARY)
@given(pair=broadcasting(), seed=st.integers(0, 9))
def test_two_operands_agree_with_torch_to_second_order(name, pair, seed):
    torch = pytest.importorskip("torch")
    assert_parity(getattr(ew, name), getattr(torch, BINARY[name] or name), normal(*pair, seed=seed), factor=1e3)


@pytest.mark.parametrize("name", UNARY)
@given(shape=shapes)
def test_one_operand_agrees_with_torch_to_second_order(name, shape):
    torch = pytest.importorskip("torch")
    assert_parity(getattr(ew, name), getattr(torch, UNARY[name] or name), normal(shape))


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "trunc", "sign", "abs"])
@given(shape=shapes)
def test_piecewise_functions_agree_with_torch(name, shape):
    torch = pytest.importorskip("torch")
    assert_parity(getattr(ew, name), getattr(torch, name), normal(shape), second=False)


@pytest.mark.parametrize("name", POSITIVE)
@given(shape=shapes)
def test_functions_of_positive_values_agree_with_torch(name, shape):
    torch = pytest.importorskip("torch")
    assert_parity(getattr(ew, name), getattr(torch, name), [np.abs(a) + 0.1 for a in normal(shape)], factor=100)


@given(pair=broadcasting())
def test_powers_of_positive_bases_agree_with_torch(pair):
    pytest.importorskip("torch")
    a, b = normal(*pair)
    assert_parity(pow, lambda a, b: a ** b, [np.abs(a) + 0.2, b], factor=1e3)


@pytest.mark.parametrize(("exponent", "derivatives"), [
    (2, ([9, 0, 4], [-6, 0, 4], [2, 2, 2], [0, 0, 0])), (3, ([-27, 0, 8], [27, 0, 12], [-18, 0, 12], [6, 6, 6])),
    (0, ([1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0])), (1, ([-3, 0, 2], [1, 1, 1], [0, 0, 0], [0, 0, 0]))])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_whole_powers_of_negative_and_zero_bases_to_third_order(exponent, derivatives, as_tensor):
    x = Tensor([-3.0, 0.0, 2.0], requires_grad=True)
    y = x ** (Tensor([float(exponent)] * 3) if as_tensor else exponent)
    for expected in derivatives:
        assert y.tolist() == expected
        y = tgc.grad(y.sum() + (x * 0).sum(), x, create_graph=True)


def test_the_gradient_of_an_exponent():
    b = Tensor([2.0, 0.0, 2.0, -1.0], requires_grad=True)
    a = Tensor([0.0, 0.0, np.e, -2.0])
    got = tgc.grad((a ** b).sum(), b).numpy()
    np.testing.assert_allclose(got, [0, 0, np.e ** 2, np.nan], rtol=1e-6)
    mixed = Tensor([3.0], requires_grad=True)
    zero = Tensor([0.0], requires_grad=True)                          # ∂²(a^b)/∂a∂b at b = 0 is 1/a
    first = tgc.grad((mixed ** zero).sum(), mixed, create_graph=True)
    assert tgc.grad(first.sum(), zero).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("op", [ew.floor, ew.ceil, ew.round, ew.trunc, ew.sign, lambda x: x // 2, lambda x: 7.5 // x, lambda x: x ** 0])
def test_a_gradient_of_zero_is_zero_even_of_infinity(op):
    x = Tensor(np.array([1.5, -2.5]), requires_grad=True)
    assert tgc.grad(op(x), x, np.array([np.inf, np.nan])).tolist() == [0, 0]


def test_abs_passes_gradcheck_and_is_flat_at_zero():
    tgc.gradcheck(lambda x: ew.abs(x) ** 3, [[-2.0, 0.5]])
    x = Tensor([0.0], requires_grad=True)
    assert tgc.grad(abs(x).sum(), x).item() == 0


def test_square_root_at_zero_is_infinitely_steep():
    x = Tensor([0.0, 4.0], requires_grad=True)
    assert tgc.grad(ew.sqrt(x).sum(), x).tolist() == [np.inf, 0.25]
    assert tgc.grad((x ** 0.5).sum(), x).tolist() == [np.inf, 0.25]


def test_ties_are_halved_between_maximum_s_arguments():
    a, b = Tensor([1.0, 2.0, 3.0], requires_grad=True), Tensor([3.0, 2.0, 1.0], requires_grad=True)
    for op, to_a in ((ew.maximum, [0, 0.5, 1]), (ew.minimum, [1, 0.5, 0])):
        da, db = tgc.grad(op(a, b).sum(), [a, b])
        assert da.tolist() == to_a and db.tolist() == to_a[::-1]


@given(shape=shapes)
def test_where_and_clip_agree_with_torch(shape):
    torch = pytest.importorskip("torch")
    a, b = normal(shape, shape)
    assert_parity(lambda x, y: ew.where(x > 0, x * y, y), lambda x, y: torch.where(x > 0, x * y, y), [a, b])
    assert_parity(lambda x: ew.clip(x, -0.5, 0.7), lambda x: torch.clip(x, -0.5, 0.7), [a])
    assert_parity(lambda x: x.clip(upper=0.2), lambda x: torch.clip(x, max=0.2), [a])


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
                                  "logical_and", "logical_or", "logical_xor"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_comparisons_are_numpy_s(name, dtype):
    a, b = np.array([[0, 1], [2, 1]]).astype(dtype), np.array([1, 1]).astype(dtype)
    close(getattr(ew, name)(a, b), getattr(np, name)(a, b))


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not"])
def test_questions_of_one_value_are_numpy_s(name):
    x = np.array([0, 1, np.nan, np.inf, -np.inf], "float32")
    close(getattr(ew, name)(x), getattr(np, name)(x))


def test_functions_of_integers_give_float32_and_roundings_leave_them():
    x = Tensor(np.array([0, 1, 4], np.uint8))
    assert ew.exp(x).dtype == np.float32 and ew.sqrt(x).tolist() == [0, 1, 2]
    for op in (ew.floor, ew.ceil, ew.round, ew.trunc, ew.abs, ew.sign):
        assert op(x).dtype == np.uint8
    assert ew.round(Tensor([0.5, 1.5, -2.5])).tolist() == [0, 2, -2]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_axes_of_length_zero_broadcast(shape):
    x = Tensor(np.zeros(shape, "float32"), requires_grad=True)
    one = Tensor(np.ones(shape[:-1] + (1,), "float32"), requires_grad=True)
    y = x * one
    assert y.shape == shape
    dx, done = tgc.grad(y.sum(), [x, one])
    assert dx.shape == shape and done.shape == one.shape and not done.numpy().any()


def test_domain_errors_are_silent_as_in_ieee_754():
    assert np.isnan(ew.log(Tensor([-1.0])).item()) and ew.log(Tensor([0.0])).item() == -np.inf
    assert (Tensor([1.0]) / 0).item() == np.inf


def test_astype_carries_gradients_back_and_ends_at_integers():
    x = Tensor([1.5], requires_grad=True)
    y = (x.astype("float64") * 2).sum()
    assert y.dtype == np.float64 and tgc.grad(y, x).dtype == np.float32
    assert not x.astype("int64").requires_grad
    for bad in ("float16", "complex64", "no such", object):
        with pytest.raises(TypeError, match="astype: "):
            x.astype(bad)


def test_errors_name_the_op_and_the_shapes():
    with pytest.raises(ValueError, match=r"add: shapes \(2,\) and \(3,\) do not broadcast"):
        Tensor([1.0, 2.0]) + Tensor([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"where: shapes"):
        ew.where(np.array([True, False]), np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match="condition must be bool, got float32"):
        ew.where(Tensor([1.0]), 1, 2)
    with pytest.raises(ValueError, match=r"clip: lower \(2\) must not exceed upper \(1\)"):
        ew.clip([1.0], 2, 1)
    with pytest.raises(ValueError, match="integers to the power -1"):
        Tensor([1, 2]) ** -1


def test_the_parity_check_notices_a_rule_wrong_by_a_thousandth():
    torch = pytest.importorskip("torch")
    broken = tgc.custom_op(np.sin, vjp=lambda g, x: 1.001 * g * ew.cos(x), name="broken")
    with pytest.raises(AssertionError, match="result 1"):
        assert_parity(broken, torch.sin, normal((3,)))
