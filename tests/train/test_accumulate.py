"""Gradients of parts add up to the gradient of the whole batch."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.ops.loss import cross_entropy
from tinygradconv.spec import Conv, Dense, Flatten, MaxPool, Tanh
from tinygradconv.train.accumulate import Accumulation
from tinygradconv.train.optim import SGD

SPEC = Conv(4, 3) >> Tanh() >> MaxPool(2) >> Flatten() >> Dense(3)


@pytest.mark.parametrize("sizes", [[4, 4, 4], [12], [5, 1, 6], [1] * 12])
def test_twenty_steps_are_those_of_the_large_batch(rng, sizes):
    """In parts of any sizes, of a network without batch norm; by a dict and by a list."""
    whole, parted = (SPEC.build((6, 6, 2), seed=3, dtype="float64") for _ in range(2))
    one, other = SGD(whole.parameters, momentum=0.9), SGD(parted.parameters, momentum=0.9)
    total = Accumulation()
    for step in range(20):
        x, labels = rng.normal(size=(12, 6, 6, 2)), rng.integers(0, 3, 12)
        one.update(tgc.grad(cross_entropy(whole(x, train=True), labels), list(whole.parameters.values())), 0.1)
        ends = np.cumsum(sizes)
        for start, end in zip(ends - sizes, ends):
            loss = cross_entropy(parted(x[start:end], train=True), labels[start:end])
            gradients = tgc.grad(loss, list(parted.parameters.values()))
            total.add(dict(zip(parted.parameters, gradients)) if step % 2 else gradients, int(end - start))
        other.update(total.mean(), 0.1)
        assert total.count == 0
    for path, p in whole.parameters.items():
        np.testing.assert_allclose(parted.parameters[path].numpy(), p.numpy(), rtol=1e-11, atol=1e-12)


def test_by_hand():
    total = Accumulation()
    total.add({"w": tgc.Tensor([1.0, 2.0])}, 3)
    total.add({"w": tgc.Tensor([5.0, 6.0])})
    assert {path: g.tolist() for path, g in total.mean().items()} == {"w": [2.0, 3.0]}


def test_of_one_part_the_mean_has_its_bits(rng):
    total, g = Accumulation(), tgc.Tensor(rng.normal(size=100).astype(np.float32))
    assert ((g * 7) / 7).numpy().tobytes() != g.numpy().tobytes(), "so that the test can fail"
    total.add([g], 7)
    assert total.mean()[0].numpy().tobytes() == g.numpy().tobytes()


def test_what_does_not_fit_is_named():
    total = Accumulation()
    with pytest.raises(ValueError, match=r"^Accumulation: mean\(\) of nothing; add\(\) the gradients of at least one part first$"):
        total.mean()
    total.add({"w": tgc.Tensor([1.0])})
    for wrong, said in (({"w": tgc.Tensor([1.0, 2.0])}, r"w \(2,\) after w \(1,\)"), ({"v": tgc.Tensor([1.0])}, r"v \(1,\) after w \(1,\)"),
                        ([], r"none after w \(1,\)")):
        with pytest.raises(ValueError, match=rf"gradients of the same parameters in the same order, got {said}$"):
            total.add(wrong)
    with pytest.raises(ValueError, match=r"^Accumulation: count must be above 0, got 0$"):
        total.add({"w": tgc.Tensor([1.0])}, 0)
    assert total.mean()["w"].tolist() == [1.0]
