"""The plan: what runs as one, that it changes no number, and why something is left apart."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import models
from tinygradconv.spec import Aux, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, Identity, ReLU, Residual, Scope, Sum, Tanh
from tinygradconv.spec.plan import plan

BLOCK = Scope(_sum=Residual(Scope(conv1=Conv(4, 3, padding=1), bn1=BatchNorm(), _relu=ReLU(), conv2=Conv(4, 3, padding=1, bias=False),
                                  bn2=BatchNorm()), Conv(4, 1) >> BatchNorm()), relu=ReLU())


def kinds(spec, shape, train):
    made = spec.plan(shape, train=train)
    return [" + ".join(made.network.steps[i].kind for i in group.steps) for group in made.groups]


def test_in_training_a_batch_norm_takes_in_the_sum_and_the_relu():
    assert kinds(BLOCK, (6, 6, 3), True) == ["Conv", "BatchNorm + ReLU", "Conv", "Conv", "BatchNorm", "BatchNorm + Residual + ReLU"]


def test_in_evaluation_a_convolution_takes_in_the_batch_norm_too():
    assert kinds(BLOCK, (6, 6, 3), False) == ["Conv + BatchNorm + ReLU", "Conv + BatchNorm", "Conv + BatchNorm + Residual + ReLU"]


def test_dense_and_tanh():
    assert kinds(models.lenet5, (28, 28, 1), True) == ["Conv + Tanh", "AvgPool", "Conv + Tanh", "AvgPool", "Flatten", "Dense + Tanh",
                                                       "Dense + Tanh", "Dense"]


def test_a_value_with_two_readers_is_left_as_it_is():
    spec = Conv(3, 1) >> Residual(ReLU())
    assert kinds(spec, (4, 4, 3), True) == ["Conv", "ReLU", "Residual"]
    assert "its output has 2 readers" in str(spec.plan((4, 4, 3)))


def test_what_is_asked_for_is_made():
    network = (Conv(3, 1) >> ReLU()).infer((4, 4, 3))
    assert [group.steps for group in plan(network, train=True, wanted={0}).groups] == [(0,), (1,)]
    assert [group.steps for group in plan(network, train=True, fuse=False).groups] == [(0,), (1,)]


def test_the_text_says_why():
    text = str(models.get("resnet18")[0].plan((224, 224, 3)))
    assert "layer1.0.bn2" in text and "BatchNorm + Residual + ReLU" in text
    assert "2 passes over 200,704 values saved" in text and "the statistics of a batch norm need the whole output first" in text


SPECS = [
    (models.lenet5, (28, 28, 1)), (BLOCK >> GlobalAvgPool() >> Dense(3), (6, 6, 3)), (models.get("resnet20")[0], (32, 32, 3)),
    (Conv(4, 1) >> Sum(BatchNorm(), Conv(4, 1)) >> ReLU() >> Flatten() >> Dense(3) >> Tanh(), (3, 3, 2)),
    (Residual(Conv(3, 1) >> BatchNorm(), Identity()) >> Aux(GlobalAvgPool() >> Dense(2)) >> Flatten() >> Dense(2), (3, 3, 3)),
]


@pytest.mark.parametrize(("spec", "shape"), SPECS, ids=["lenet5", "block", "resnet20", "sum", "aux"])
@pytest.mark.parametrize("train", [True, False])
def test_fusing_changes_no_number(spec, shape, train):
    x = np.random.default_rng(0).normal(size=(4, *shape))
    answers = []
    for fuse in (True, False):
        model = spec.build(shape, seed=1, dtype="float64", fuse=fuse)
        for path, buffer in model.buffers.items():
            model.buffers[path] = buffer + 0.5 * np.arange(buffer.size) / buffer.size
        y = model(x, train=train)
        y = y[0] + sum(head.sum() for head, _ in y[1].values()) if isinstance(y, tuple) else y
        gradients = tgc.grad((y * y).sum(), list(model.parameters.values()))
        answers.append([y.numpy(), *[g.numpy() for g in gradients], *[b.numpy() for b in model.buffers.values()]])
    for ours, theirs in zip(*answers):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


def test_intermediate_values_are_the_same_with_and_without():
    model, plain = (BLOCK.build((6, 6, 3), fuse=fuse) for fuse in (True, False))
    x, paths = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32), ["bn1", "conv2", "downsample.0", "relu"]
    for ours, theirs in zip(model.features(x, paths).values(), plain.features(x, paths).values()):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_a_convolution_whose_one_reader_is_a_batch_norm_in_training_makes_its_sums():
    def asked(spec, **how):
        network = spec.infer((6, 6, 3))
        return [network.steps[group.head].kind for group in plan(network, **{"train": True, **how}).groups if group.moments]
    assert asked(BLOCK) == ["Conv"] * 3 and asked(BLOCK, train=False) == asked(BLOCK, fuse=False) == []
    pair = Conv(3, 1) >> BatchNorm()
    assert asked(pair) == ["Conv"] and asked(pair, wanted={0}) == asked(pair, frozen=frozenset({1})) == []
    others = Conv(3, 1) >> Residual(BatchNorm()), Conv(3, 1) >> ReLU() >> BatchNorm(), Flatten() >> Dense(3) >> BatchNorm()
    assert not any(asked(spec) for spec in others)
    assert asked(Residual(Conv(3, 1)) >> BatchNorm()) == ["Conv"]
