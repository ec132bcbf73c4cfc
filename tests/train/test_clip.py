"""Clipped gradients beside torch's clip_grad_norm_ and clip_grad_value_."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.train.clip import GradientError, clip_by_global_norm, clip_by_value

SHAPES = st.lists(st.sampled_from([(), (1,), (7,), (3, 3, 2, 5), (17, 33), (0, 4)]), min_size=1, max_size=5)


def drawn(shapes, dtype, seed, scale):
    random = np.random.default_rng(seed)
    return {f"p{i}": (scale * random.normal(size=shape)).astype(dtype) for i, shape in enumerate(shapes)}


def leaves(torch, arrays):
    made = [torch.zeros(a.shape, dtype=getattr(torch, str(a.dtype)), requires_grad=True) for a in arrays.values()]
    for leaf, a in zip(made, arrays.values()):
        leaf.grad = torch.tensor(a)
    return made


@given(shapes=SHAPES, dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 99), scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3]),
       limit=st.sampled_from([0.01, 1.0, 50]))
def test_by_global_norm_is_torchs(shapes, dtype, seed, scale, limit):
    torch = pytest.importorskip("torch")
    arrays = drawn(shapes, dtype, seed, scale)
    theirs = leaves(torch, arrays)
    total = torch.nn.utils.clip_grad_norm_(theirs, limit)
    gradients = {path: tgc.Tensor(a) for path, a in arrays.items()}
    clipped, norm = clip_by_global_norm(gradients, limit)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    assert norm == pytest.approx(total.item(), rel=tolerance)
    assert list(clipped) == list(arrays)
    for path, leaf in zip(arrays, theirs):
        np.testing.assert_allclose(clipped[path].numpy(), leaf.grad.numpy(), rtol=tolerance, atol=1e-30)
        assert clipped[path].dtype == dtype and (gradients[path].numpy() == arrays[path]).all()


@given(shapes=SHAPES, dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 99), limit=st.sampled_from([1e-3, 0.5, 9]))
def test_by_value_is_torchs(shapes, dtype, seed, limit):
    torch = pytest.importorskip("torch")
    arrays = drawn(shapes, dtype, seed, 1.0)
    theirs = leaves(torch, arrays)
    torch.nn.utils.clip_grad_value_(theirs, limit)
    clipped = clip_by_value([tgc.Tensor(a) for a in arrays.values()], limit)
    for ours, leaf in zip(clipped, theirs, strict=True):
        np.testing.assert_array_equal(ours.numpy(), leaf.grad.numpy())
        assert ours.dtype == dtype


def test_by_hand():
    three, four = tgc.Tensor([3.0]), tgc.Tensor([[0.0], [-4.0]])
    (a, b), norm = clip_by_global_norm([three, four], 2.5)
    assert norm == 5 and a.tolist() == pytest.approx([1.5]) and b.tolist() == [[0.0], [pytest.approx(-2.0)]]
    (a, b), _ = clip_by_global_norm([three, four], 6)
    assert a is three and b is four
    assert [g.tolist() for g in clip_by_value([three, four], 1)] == [[1], [[0], [-1]]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named(bad):
    gradients = {"conv.weight": tgc.Tensor([1.0]), "conv.bias": tgc.Tensor([0.0, bad])}
    said = rf"^clip_by_global_norm: the norm of the gradient of conv\.bias is not finite, its square is {bad}\. Try a smaller rate"
    with pytest.raises(GradientError, match=said):
        clip_by_global_norm(gradients, 1.0)


def test_wrong_limits_and_gradients():
    for limit, said in ((0, "must be above 0, got 0"), (np.nan, "must be finite, got nan")):
        for clip in (clip_by_global_norm, clip_by_value):
            with pytest.raises(ValueError, match=f"^{clip.__name__}: limit {said}$"):
                clip([tgc.Tensor([1.0])], limit)
    with pytest.raises(TypeError, match=r"^clip_by_value: the gradient of w must be a Tensor, got ndarray$"):
        clip_by_value({"w": np.zeros(3)}, 1.0)
