"""einsum against NumPy's (values) and PyTorch's (derivatives)."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal
from tinygradconv.ops.einsum import einsum

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("ij->ji", (2, 3)), ("ij->", (2, 3)),
    ("ij->j", (2, 3)), ("ij", (2, 3)), ("ba", (2, 3)), ("i,i->", (3,), (3,)), ("i,j->ij", (2,), (3,)), ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,ij->", (2, 3), (2, 3)), ("ijk,k->ji", (2, 3, 4), (4,)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("a,b,ab->", (2,), (3,), (2, 3)),
    ("nhwc,co->nhwo", (2, 3, 3, 4), (4, 5)), ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)), ("ijk,jil->kl", (3, 2, 4), (2, 3, 5)),
    ("ij,kl->", (2, 3), (4, 5)), ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)), ("...i->...", (2, 3, 4)), ("i...,i", (3, 2), (3,)),
    ("ij,jk->ik", (0, 3), (3, 4)), ("ij,jk->ik", (2, 0), (0, 4)), (",i->i", (), (3,)),
    (" i j , j -> i ", (2, 3), (3,)), ("ij,ij->i", (2, 3), (1, 3)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_einsum_is_numpy_s(case):
    subscripts, *shapes = case
    arrays = normal(*shapes)
    close(einsum(subscripts, *arrays), np.asarray(np.einsum(subscripts, *arrays)))


@pytest.mark.parametrize("case", [c for c in CASES if c[0] not in ("ij,ij->i",)], ids=str)
def test_einsum_s_derivatives_agree_with_torch(case):
    torch = pytest.importorskip("torch")
    subscripts, *shapes = case
    assert_parity(lambda *xs: einsum(subscripts, *[x * x for x in xs]), lambda *xs: torch.einsum(subscripts, *[x * x for x in xs]),
                  normal(*shapes))


def test_a_length_of_one_passes_gradcheck():
    tgc.gradcheck(lambda a, b: einsum("ij,ij->i", a, b), normal((2, 3), (1, 3)))


@pytest.mark.parametrize(("subscripts", "shapes", "message"), [
    ("ij,jk->ik", [(2, 3)], "has 2 terms but there are 1 operands"),
    ("ii->i", [(3, 3)], "names an axis twice; diagonals are not taken here"),
    ("ij->ii", [(3, 3)], "names an axis twice"),
    ("ij->k", [(3, 3)], "the output letter 'k' of .* is in no term"),
    ("ijk", [(3, 3)], r"term 'ijk' does not name the 2 axes of operand 0, of shape \(3, 3\)"),
    ("i1", [(3, 3)], "has '1'; write it with letters"),
    ("ij,jk", [(2, 3), (4, 5)], r"'j' is 3 long, but 4 in operand 1, of shape \(4, 5\)"),
    ("ij", [], "needs operands"),
])
def test_errors_name_the_term(subscripts, shapes, message):
    with pytest.raises(ValueError, match="einsum: .*" + message):
        einsum(subscripts, *normal(*shapes))


def test_subscripts_come_first():
    with pytest.raises(TypeError, match="subscripts come first, as text"):
        einsum(np.ones(3), "i")
