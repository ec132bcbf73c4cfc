"""LARS against the paper's algorithm written out in NumPy."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.train.optim import LARS

SHAPES = {"conv.weight": (3, 3, 2, 5), "fc.weight": (17, 3), "late": (4, 2), "conv.bias": (5,), "bn.weight": (5,)}


def algorithm1(w, v, g, *, rate, momentum, decay, trust):
    """One layer's update in You, Gitman and Ginsburg 2017, algorithm 1, line by line; returns the new (w, v)."""
    local = trust * np.linalg.norm(w) / (np.linalg.norm(g) + decay * np.linalg.norm(w))
    v = momentum * v + rate * local * (g + decay * w)
    return w - v, v


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("exclude", [None, ("*.bias", "bn.*"), ("fc.*",)])
def test_a_hundred_steps_are_the_papers(rng, backend, dtype, tolerance, exclude):
    tensors = {path: tgc.Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for path, shape in SHAPES.items()}
    expected = {path: (p.numpy().astype(np.float64), np.zeros(p.shape)) for path, p in tensors.items()}
    options = {"momentum": 0.9, "trust": 0.02, "decay": 0.01}
    optimizer = LARS(tensors, exclude=exclude, **options)
    without = {"conv.bias", "bn.weight"} if exclude != ("fc.*",) else {"fc.weight"}
    assert optimizer.excluded == without
    for step in range(100):
        rate = 0.5 * (1 - step / 100) ** 2
        for path, shape in SHAPES.items():
            g = rng.normal(size=shape).astype(dtype)
            w, v = expected[path]
            if path in without:
                v = 0.9 * v + rate * g
                expected[path] = w - v, v
            else:
                expected[path] = algorithm1(w, v, g, rate=rate, **options)
            tensors[path].grad = tgc.Tensor(g)
        optimizer.update({path: p.grad for path, p in tensors.items()}, rate)
        for path, p in tensors.items():
            np.testing.assert_allclose(p.numpy(), expected[path][0], rtol=tolerance, atol=tolerance)


def test_weights_and_gradients_of_zero(rng):
    zero, some = tgc.Tensor(np.zeros((2, 2)), requires_grad=True), tgc.Tensor(np.full((2, 2), 2.0), requires_grad=True)
    optimizer = LARS({"zero": zero, "some": some}, trust=0.5)
    optimizer.update({"zero": tgc.Tensor(np.ones((2, 2))), "some": tgc.Tensor(np.zeros((2, 2)))}, 0.25)
    assert (zero.numpy() == -0.25).all() and (some.numpy() == 2).all()
    decayed = LARS({"some": some}, trust=0.5, decay=0.5)               # λ = ½ · 4 / (0 + ½ · 4) = 1, so p −= ¼ · 1 · ½ · 2
    decayed.update({"some": tgc.Tensor(np.zeros((2, 2)))}, 0.25)
    assert (some.numpy() == 1.75).all()
