"""Freezing by path: what is learned, what a frozen part computes, and what the tape no longer keeps. PyTorch is the oracle."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import models
from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool, ReLU, Scope, Share
from tinygradconv.spec.table import Ledger
from tinygradconv.train.optim import SGD, Adam

from .twins import SHAPE, SMALL, images, outside, picture, twins


def nodes_of(y):
    """The recorded calls that led to y, and the parameters among their leaves."""
    seen, waiting = set(), [y.node]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(node.parents)
    return {node for node in seen if node.op is not None}, {node for node in seen if node.op is None}


@pytest.mark.parametrize("paths", [("conv1", "bn1", "layer1"), ("layer1.0.bn1", "layer2.0.bn2"), ("layer1.0",), ("layer1.1.downsample",)])
@pytest.mark.parametrize("fuse", [False, True])
def test_a_frozen_part_is_in_evaluation_as_torch_would_have_it(paths, fuse):
    torch = pytest.importorskip("torch")
    model, theirs = twins()
    model.fuse = fuse
    model.freeze(*paths)
    theirs.train()
    modules = dict(theirs.named_modules())
    for path in paths:
        modules[path].eval().requires_grad_(False)
    y, expected = model(images(), train=True), theirs(torch.from_numpy(picture(images())))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-9)
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    named = dict(theirs.named_parameters())
    for path, parameter in model.parameters.items():
        assert (parameter.grad is None) == (named[path].grad is None) == (not parameter.requires_grad), path
        if parameter.grad is not None:
            np.testing.assert_allclose(outside(parameter.grad.numpy()), named[path].grad.numpy(), rtol=1e-6, atol=1e-9, err_msg=path)
    moved = dict(theirs.named_buffers())
    for path, buffer in model.buffers.items():
        np.testing.assert_allclose(buffer.numpy(), moved[path].numpy(), rtol=1e-9, err_msg=path)


def test_nothing_is_kept_below_the_first_learned_parameter():
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    calls, leaves = nodes_of(model(x, train=True).sum())
    assert len(leaves) == len(model.parameters)
    model.freeze("conv1", "bn1", "layer1")
    y = model(x, train=True).sum()
    fewer, leaves = nodes_of(y)
    above = {path for path in model.parameters if path.startswith(("layer2", "fc"))}
    assert leaves == {model.parameters[path].node for path in above} == {parameter.node for parameter in model.learned.values()}
    head = Scope(layer2=dict(SMALL.children())["layer2"], avgpool=GlobalAvgPool(), fc=Dense(3)).build(model.features(x, "layer1").shape[1:])
    alone = head(model.features(x, "layer1"), train=True).sum()
    assert len(fewer) == len(nodes_of(alone)[0]) < len(calls) / 2
    assert Ledger(model.parameters.values()).add(y) == Ledger(head.parameters.values()).add(alone)
    model.freeze()
    assert not model(x, train=True).requires_grad and not model.learned


def test_a_frozen_part_in_the_middle_lets_gradients_through():
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    model.freeze("layer1.1", "layer2")
    model(x, train=True).sum().backward()
    assert all((p.grad is None) == path.startswith(("layer1.1", "layer2")) for path, p in model.parameters.items())


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_an_optimiser_changes_only_what_is_learned(kind):
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    model.freeze("conv1", "bn1", "layer1")
    optimizer = kind(model.parameters, decay=0.1)
    before = {path: p.numpy().copy() for path, p in model.parameters.items()}
    optimizer.update(tgc.grad((model(x, train=True) ** 2).sum(), list(optimizer.parameters.values())), 0.1)
    moved = {path for path, p in model.parameters.items() if not np.array_equal(p.numpy(), before[path])}
    assert list(optimizer.parameters) == list(model.learned) and moved == set(model.learned)


def test_what_is_unfrozen_learns_again():
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    fresh = SMALL.build(SHAPE, seed=1)
    model.freeze()
    assert repr(model) == f"Model({model.parameter_count:,} parameters, 0 of them learned, (9, 7, 3) -> (3,))"
    model.unfreeze("layer2.0.bn1", "fc")
    assert list(model.learned) == ["layer2.0.bn1.weight", "layer2.0.bn1.bias", "fc.weight", "fc.bias"]
    before = dict(model.buffers)
    model(x, train=True)
    assert {path for path in before if model.buffers[path] is not before[path]} == {f"layer2.0.bn1.running_{s}" for s in ("mean", "var")}
    model.unfreeze()
    model.buffers.update(before)
    assert len(model.learned) == len(model.parameters)
    np.testing.assert_array_equal(model(x, train=True).numpy(), fresh(x, train=True).numpy())


def test_one_parameter_alone_may_be_frozen():
    model = (Conv(2, 1) >> BatchNorm()).build((3, 3, 2))
    model.freeze("0.bias", "1.weight")
    assert list(model.learned) == ["0.weight", "1.bias"]
    before = dict(model.buffers)
    model(np.ones((2, 3, 3, 2), np.float32), train=True)
    assert model.buffers["1.running_mean"] is not before["1.running_mean"]                # the layer itself is not frozen


def test_names_that_begin_alike_are_other_parts():
    model = Scope(conv1=Conv(2, 1), conv10=Conv(2, 1)).build((3, 3, 2))
    model.freeze("conv1")
    assert list(model.learned) == ["conv10.weight", "conv10.bias"]


def test_dropout_and_what_is_shared():
    x = np.ones((1, 1000), np.float32)
    model = Scope(head=Dropout(0.5) >> ReLU(), drop=Dropout(0.5)).build((1000,))
    model.freeze("head")
    assert set(np.unique(model(x, train=True).numpy())) == {0, 2}                        # one of the two drops
    model = (Share("enc", Dense(4)) >> Share("enc", Dense(4)) >> Dense(2)).build((4,))
    model.freeze("0")
    assert list(model.learned) == ["2.weight", "2.bias"]
    model.unfreeze("enc")
    assert len(model.learned) == 4


@pytest.mark.parametrize(("freeze", "kind", "text"), [
    (lambda m: m.freeze("layer9"), ValueError, "freeze: there is no 'layer9' in this model. Did you mean 'layer3' or 'layer2' or"),
    (lambda m: m.freeze("fc", "fc.weights"), ValueError, "freeze: there is no 'fc.weights' in this model. Did you mean 'fc.weight'"),
    (lambda m: m.unfreeze("xyz"), ValueError, "unfreeze: there is no 'xyz' in this model. Its parts are: conv1, bn1, relu, layer1, "),
    (lambda m: m.freeze(["fc"]), TypeError, "freeze: a path must be a string such as 'layer1.0', got ['fc'] of type list"),
])
def test_a_path_that_is_not_there_freezes_nothing(freeze, kind, text):
    model = models.get("resnet20")[0].build((32, 32, 3))
    with pytest.raises(kind) as caught:
        freeze(model)
    assert str(caught.value).startswith(text) and len(model.learned) == len(model.parameters)
