"""Every family of the zoo computes the same with its layers fused and one by one: outputs, gradients and running statistics."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import models
from tinygradconv.spec import Dense, Identity

SIZES = {"lenet5": (28, 28, 1), "lenet5_1998": (32, 32, 1), "alexnet": (63, 63, 3), "alexnet_2012": (67, 67, 3), "zfnet": (79, 79, 3),
         "vgg11_bn": (32, 32, 3), "googlenet": (32, 32, 3), "googlenet_2014": (96, 96, 3), "resnet18": (32, 32, 3), "resnet50": (32, 32, 3),
         "resnet20": (16, 16, 3), "plain20": (16, 16, 3)}


def answers(model, x, train):
    """Outputs, gradients and buffers by path, in float64: what differs between two models is the order of additions alone."""
    y = model(x, train=train)
    outputs = [y[0], *(head for head, _ in y[1].values())] if isinstance(y, tuple) else [y]
    gradients = tgc.grad(sum((one * one).sum() for one in outputs), list(model.parameters.values()))
    return {**{f"output {i}": one.numpy() for i, one in enumerate(outputs)}, **{path: b.numpy() for path, b in model.buffers.items()},
            **{path: g.numpy() for path, g in zip(model.parameters, gradients)}}


@pytest.mark.parametrize("name", list(SIZES))
def test_fused_and_one_by_one(name):
    (spec, _), shape = models.get(name, heads=name.startswith("googlenet")), SIZES[name]
    for step in spec.infer(shape).steps:
        if step.kind == "Dense" and step.shape == (4096,):
            spec = spec.replace(step.path, Dense(16))
    if name == "resnet50":                             # most of its weights are in the last two stages, whose blocks are like the others'
        spec = spec.replace("layer3", Identity()).replace("layer4", Identity())
    model, rng = spec.build(shape, seed=1, dtype="float64"), np.random.default_rng(0)
    x, buffers = rng.normal(size=(2, *shape)), {path: b + 0.5 * rng.uniform(size=b.shape) for path, b in model.buffers.items()}
    for train in (False, True):
        made = []
        for fuse in (True, False):
            model.fuse, model.counter.value = fuse, 0
            model.buffers.update(buffers)
            made.append(answers(model, x, train))
        for path, expected in made[1].items():
            # float64 rounds at 1e-16; a hundred layers, each a sum of up to 5000 products, and the batch norms behind them amplify it
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(made[0][path], expected, rtol=1e-8, atol=1e-9 * scale, err_msg=path)


def test_every_family_is_here():
    def family(name):
        return name.removesuffix("_bn").rstrip("0123456789").rstrip("_")
    assert {family(name) for name in models.MODELS} <= {family(name) for name in SIZES}
