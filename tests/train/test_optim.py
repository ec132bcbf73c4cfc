"""Optimisers and schedules against torch's, step by step, and against formulas by hand."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.train.optim import SGD, Adam
from tinygradconv.train.schedule import constant, cosine, drops

SHAPES = {"conv.weight": (3, 3, 2, 5), "conv.bias": (5,), "scale": ()}
CASES = [
    (SGD, {}, "SGD", {}),
    (SGD, {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    (SGD, {"momentum": 0.9, "nesterov": True, "decay": 0.01}, "SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (Adam, {}, "Adam", {}),
    (Adam, {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "decay": 0.01},
     "Adam", {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.01}),
    (Adam, {"decay": 0.1, "decoupled": True}, "AdamW", {"weight_decay": 0.1}),
]


def parameters(rng, dtype=np.float64):
    return {path: tgc.Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for path, shape in SHAPES.items()}


@pytest.mark.parametrize(("kind", "ours", "theirs_name", "theirs"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_a_hundred_steps_are_torchs(rng, kind, ours, theirs_name, theirs, dtype, tolerance):
    torch = pytest.importorskip("torch")
    tensors = parameters(rng, dtype)
    twins = [torch.tensor(np.array(p.numpy()), requires_grad=True) for p in tensors.values()]
    rate = cosine(0.05, 100, warm_up=10)
    optimizer, oracle = kind(tensors, **ours), getattr(torch.optim, theirs_name)(twins, lr=1.0, **theirs)
    for step in range(100):
        gradients = {path: rng.normal(size=shape).astype(dtype) for path, shape in SHAPES.items()}
        optimizer.update({path: tgc.Tensor(g) for path, g in gradients.items()}, rate(step))
        oracle.param_groups[0]["lr"] = rate(step)
        for twin, g in zip(twins, gradients.values()):
            twin.grad = torch.tensor(g)
        oracle.step()
        for p, twin in zip(tensors.values(), twins):
            np.testing.assert_allclose(p.numpy(), twin.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_one_step_by_hand(backend):
    p = tgc.Tensor([1.0, -2.0], requires_grad=True)
    SGD({"p": p}, momentum=0.5, decay=0.25).update([tgc.Tensor([0.75, 0.5])], rate=0.5)
    assert p.tolist() == [0.5, -2.0]                            # d = 0.75 + 0.25 · 1 = 1 and 0.5 − 0.5 = 0
    q = tgc.Tensor([1.0], requires_grad=True)
    Adam({"q": q}).update([tgc.Tensor([123.0])], rate=0.25)
    assert q.tolist() == pytest.approx([0.75])                  # the first step of Adam is ±rate, whatever the gradient


def test_an_update_is_a_change_in_place_that_backward_notices(rng):
    tensors = parameters(rng)
    y = (tensors["conv.bias"] * tensors["conv.bias"]).sum()
    before = tensors["conv.bias"].version
    SGD(tensors).update([tgc.Tensor(np.ones(shape)) for shape in SHAPES.values()], 0.1)
    assert tensors["conv.bias"].version == before + 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize(("kind", "options"), [(SGD, {"momentum": 0.9}), (Adam, {})])
def test_a_restored_optimizer_goes_on_to_the_same_bits(rng, kind, options):
    whole, parted = parameters(np.random.default_rng(1), np.float32), parameters(np.random.default_rng(1), np.float32)
    gradients = [[tgc.Tensor(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES.values()] for _ in range(6)]
    one, other = kind(whole, **options), kind(parted, **options)
    for step in range(6):
        one.update(gradients[step], 0.1)
        if step == 3:
            kept = {name: array.copy() for name, array in other.state().items()}
            other = kind(parted, **options)
            other.restore(kept)
        other.update(gradients[step], 0.1)
    for path in SHAPES:
        assert whole[path].numpy().tobytes() == parted[path].numpy().tobytes()
    fresh = kind(parted, **options)
    assert any((fresh.state()[name] != one.state()[name]).any() for name in fresh.state())      # there was something to restore


def test_what_does_not_fit_is_named_and_changes_nothing(rng):
    tensors = parameters(rng)
    optimizer, before = Adam(tensors), {path: p.numpy().copy() for path, p in tensors.items()}
    gradients = {path: tgc.Tensor(np.ones(shape)) for path, shape in SHAPES.items()}
    with pytest.raises(ValueError, match=r"Adam: there is no gradient for scale"):
        optimizer.update({path: g for path, g in gradients.items() if path != "scale"}, 0.1)
    with pytest.raises(ValueError, match=r"Adam: the gradient of conv\.bias must be float64 \(5,\), got float64 \(4,\)"):
        optimizer.update({**gradients, "conv.bias": tgc.Tensor(np.ones(4))}, 0.1)
    state = dict(optimizer.state())
    with pytest.raises(ValueError, match=r"Adam: first\.scale is missing"):
        optimizer.restore({name: a for name, a in state.items() if name != "first.scale"})
    with pytest.raises(ValueError, match=r"Adam: velocity\.scale \(\) does not belong here"):
        optimizer.restore({**state, "velocity.scale": np.zeros(())})
    assert all((before[path] == p.numpy()).all() for path, p in tensors.items()) and optimizer.steps == 0
    wrong = ((SGD, {"momentum": 1.0}), (SGD, {"nesterov": True}), (SGD, {"decay": -1}), (Adam, {"beta2": 1.0}), (Adam, {"epsilon": 0}))
    for kind, options in wrong:
        with pytest.raises(ValueError, match=kind.__name__):
            kind(tensors, **options)
    with pytest.raises(TypeError, match=r"SGD: no parameter requires a gradient, so there is nothing to learn\. Make tensors with"):
        SGD({"p": tgc.Tensor([1.0])})


def test_what_is_frozen_is_left_out_and_stays(rng):
    tensors = parameters(rng)
    tensors["scale"] = tensors["scale"].detach()
    before = {path: p.numpy().copy() for path, p in tensors.items()}
    optimizer = Adam(tensors, decay=0.1)
    assert set(optimizer.parameters) == set(SHAPES) - {"scale"} and not any("scale" in name for name in optimizer.state())
    optimizer.update({path: tgc.Tensor(np.ones(shape)) for path, shape in SHAPES.items()}, 0.1)
    assert {path for path, p in tensors.items() if (p.numpy() == before[path]).all()} == {"scale"}


def test_schedules_by_hand():
    assert [constant(0.5)(t) for t in (0, 9)] == [0.5, 0.5]
    rate = cosine(1.0, 10, warm_up=2)
    assert [rate(t) for t in (0, 1, 2, 6, 10, 99)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0, 0.0], abs=1e-15)
    assert cosine(1.0, 4, floor=0.2)(1) == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi / 4)))
    assert [drops(1.0, [3, 5])(t) for t in (2, 3, 5)] == pytest.approx([1.0, 0.1, 0.01])
    for wrong in (lambda: constant(0), lambda: constant(math.nan), lambda: cosine(1, 0), lambda: cosine(1, 5, warm_up=5),
                  lambda: cosine(1, 5, floor=2), lambda: drops(1, [5, 3])):
        with pytest.raises(ValueError, match="constant|cosine|drops"):
            wrong()


def test_the_cosine_schedule_is_torchs():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    oracle, rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.01), cosine(0.3, 50, floor=0.01)
    for step in range(51):
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        oracle.step()
