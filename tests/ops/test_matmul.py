"""Matrix products of vectors, matrices and stacks of them, against NumPy and PyTorch."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal
from tinygradconv.ops.matmul import matmul
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
