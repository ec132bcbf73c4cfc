"""Matrix products of vectors, matrices and stacks of them, and dense layers, against NumPy and PyTorch."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.ops.matmul import dense, matmul
from tinygradconv.tensor import Tensor

sizes = st.sampled_from([0, 1, 2, 3, 7])


@st.composite
def factors(draw):
    """Shapes of a and b: vectors, matrices, stacks that broadcast."""
    M, K, N = draw(sizes), draw(sizes), draw(sizes)
    lead = draw(st.lists(st.sampled_from([1, 2, 3]), max_size=2))
    a_lead, b_lead = ([draw(st.sampled_from([n, 1])) for n in lead][draw(st.integers(0, len(lead))):] for _ in range(2))
    return draw(st.sampled_from([(K,), (*a_lead, M, K)])), draw(st.sampled_from([(K,), (*b_lead, K, N)]))


@given(pair=factors())
def test_products_agree_with_torch_to_second_order(pair):
    torch = pytest.importorskip("torch")
    assert_parity(lambda a, b: matmul(a * a, b), lambda a, b: torch.matmul(a * a, b), normal(*pair))


@given(pair=factors())
def test_products_are_numpy_s(pair):
    for dtype in (np.float32, np.int64):
        a, b = (np.round(3 * x).astype(dtype) for x in normal(*pair))
        close(Tensor(a) @ Tensor(b), np.asarray(a @ b))
        close(a @ Tensor(b), np.asarray(a @ b))


def test_transposes_pass_gradcheck():
    tgc.gradcheck(lambda a, b: (a.T @ b.mT) ** 2, normal((3, 2), (4, 3)))


def test_dtypes_are_promoted():
    assert (Tensor([[1]]) @ Tensor([[0.5]])).dtype == np.float32
    assert (Tensor(np.ones((1, 1))) @ Tensor([[0.5]])).dtype == np.float64


@pytest.mark.parametrize(("a", "b", "message"), [
    ((2, 3), (4, 5), r"the last axis of a \(3\) must equal axis -2 of b \(4\); a is \(2, 3\), b is \(4, 5\)"),
    ((2, 3), (4,), r"must equal axis 0 of b \(4\)"),
    ((), (3,), r"need at least one axis, got shapes \(\) and \(3,\). Multiply by a number with \*"),
    ((2, 3, 4), (3, 4, 5), r"the leading axes of a \(2, 3, 4\) and b \(3, 4, 5\) do not broadcast"),
])
def test_errors_name_both_shapes(a, b, message):
    with pytest.raises(ValueError, match="matmul: .*" + message):
        matmul(*normal(a, b))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(lead=st.lists(sizes, max_size=2), features=sizes, outputs=st.sampled_from([0, 1, 3, 9]), with_bias=st.booleans())
def test_dense_agrees_with_torch_to_second_order(activation, lead, features, outputs, with_bias):
    torch = pytest.importorskip("torch")
    act = {None: lambda z: z, "relu": torch.relu, "tanh": torch.tanh}[activation]
    arrays = normal((*lead, features), (features, outputs), *([(outputs,)] if with_bias else []))
    assert_parity(lambda x, w, *bias: dense(x * x, w, *bias, activation=activation),
                  lambda x, w, *bias: act(torch.matmul(x * x, w) + (bias[0] if bias else 0)), arrays)


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_dense_passes_gradcheck(activation):
    tgc.gradcheck(lambda x, w, bias: dense(x, w, bias, activation=activation), normal((4, 3), (3, 2), (2,)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_is_its_composition_forward_and_backward(activation):
    act = {None: lambda z: z, "relu": tgc.relu, "tanh": tgc.tanh}[activation]
    arrays, g = normal((20, 30), (30, 10), (10,)), Tensor(normal((20, 10), seed=3)[0])
    results = []
    for f in (lambda x, w, bias: dense(x, w, bias, activation=activation), lambda x, w, bias: act(matmul(x, w) + bias)):
        leaves = [Tensor(array, requires_grad=True) for array in arrays]
        y = f(*leaves)
        results.append([y, *tgc.grad(y, leaves, g)])
    for got, expected in zip(*results):
        close(got, np.asarray(expected))


def test_dense_uses_new_weights_after_an_update():
    x, w = np.ones((2, 3), np.float32), Tensor(np.ones((3, 4), np.float32))
    assert (dense(x, w).numpy() == 3).all()
    w.data[...] = 2
    w.storage.version += 1
    assert (dense(x, w).numpy() == 6).all()


@pytest.mark.parametrize(("x", "w", "bias", "message"), [
    ((2, 3), (4, 5), None, r"w takes 4 inputs, so x must end in an axis of 4. x is \(2, 3\); w is \(4, 5\)$"),
    ((2, 3), (5, 3), None, r"w is \(5, 3\). w looks like PyTorch's \(outputs, inputs\): use w.T$"),
    ((), (4, 5), None, r"x must end in an axis of 4. x is \(\)"),
    ((2, 4), (4,), None, r"w must have two axes \(inputs, outputs\), got shape \(4,\)"),
    ((2, 4), (4, 5), (4,), r"bias must have shape \(5,\), one value per output, got \(4,\)"),
])
def test_errors_of_dense_name_the_shapes(x, w, bias, message):
    with pytest.raises(ValueError, match="dense: .*" + message):
        dense(*normal(x, w, *([] if bias is None else [bias])))


def test_dense_refuses_an_unknown_activation():
    with pytest.raises(ValueError, match="dense: activation must be None or 'relu' or 'tanh', got 'gelu'"):
        dense(*normal((2, 3), (3, 4)), activation="gelu")
