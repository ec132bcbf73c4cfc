"""What all optimisers share: steps by hand, state, what is frozen, what does not fit. Beside torch they are in test_optim_torch.py."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.interop import safetensors
from tinygradconv.train.optim import LARS, SGD, Adam, AdamW, Muon, RMSprop
from tinygradconv.train.optim.muon import orthogonal

# Each with everything on that it can remember.
EVERY = {"sgd": (SGD, {"momentum": 0.9, "nesterov": True, "decay": 0.01}), "adam": (Adam, {"decay": 0.01}),
         "adamw": (AdamW, {"exclude": "*.bias"}), "rmsprop": (RMSprop, {"momentum": 0.9, "centred": True, "exclude": ("*.bias", "scale")}),
         "lars": (LARS, {"decay": 0.01}), "muon": (Muon, {"exclude": ["*.bias"]})}
SHAPES = {"conv.weight": (3, 3, 2, 5), "conv.bias": (5,), "scale": ()}


def parameters(rng, dtype=np.float64):
    return {path: tgc.Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for path, shape in SHAPES.items()}


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


@pytest.mark.parametrize(("kind", "options"), EVERY.values(), ids=EVERY)
def test_a_restored_optimizer_goes_on_to_the_same_bits(rng, kind, options):
    whole, parted = parameters(np.random.default_rng(1), np.float32), parameters(np.random.default_rng(1), np.float32)
    gradients = [[tgc.Tensor(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES.values()] for _ in range(6)]
    one, other = kind(whole, **options), kind(parted, **options)
    for step in range(6):
        one.update(gradients[step], 0.1)
        if step == 3:
            kept = safetensors.from_bytes(safetensors.to_bytes(other.state()), "a snapshot")[0]
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


@pytest.mark.parametrize(("kind", "options", "said"), [
    (SGD, {"momentum": 1.0}, "SGD: momentum must be at least 0 and below 1, got 1.0"),
    (SGD, {"nesterov": True}, "SGD: nesterov=True needs a momentum above 0"),
    (SGD, {"decay": -1}, "SGD: decay must be at least 0, got -1"),
    (Adam, {"beta2": 1.0}, "Adam: beta2 must be at least 0 and below 1, got 1.0"),
    (AdamW, {"epsilon": 0}, "AdamW: epsilon must be above 0, got 0"),
    (RMSprop, {"smoothing": -0.1}, "RMSprop: smoothing must be at least 0 and below 1, got -0.1"),
    (LARS, {"trust": np.nan}, "LARS: trust must be finite, got nan"),
    (Muon, {"iterations": 0}, "Muon: iterations must be at least 1, got 0"),
    (Muon, {"share": 0.0}, "Muon: share must be above 0, got 0.0"),
    (Muon, {"adamw": "head.*"}, "Muon: adamw 'head.*' matches no parameter. There are: conv.weight, conv.bias, scale"),
    (RMSprop, {"exclude": ("*.bias", "conv.wait")},
     "RMSprop: exclude 'conv.wait' matches no parameter. The closest are: conv.weight, conv.bias"),
])
def test_a_wrong_option_is_named(rng, kind, options, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        kind(parameters(rng), **options)


@pytest.mark.parametrize(("kind", "options"), EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("rate", [math.nan, math.inf, -0.1])
def test_a_rate_that_is_no_rate_changes_nothing(rng, kind, options, rate):
    tensors = parameters(rng)
    optimizer, before = kind(tensors, **options), {path: p.numpy().copy() for path, p in tensors.items()}
    with pytest.raises(ValueError, match=rf"{kind.__name__}: rate must be at least 0 and finite, got {rate}"):
        optimizer.update([tgc.Tensor(np.ones(shape)) for shape in SHAPES.values()], rate)
    assert all((before[path] == p.numpy()).all() for path, p in tensors.items()) and optimizer.steps == 0


@pytest.mark.parametrize(("kind", "options"), EVERY.values(), ids=EVERY)
def test_threads_change_no_bit(kind, options):
    ends = []
    for threads in (1, 2, 3):
        random = np.random.default_rng(3)
        p = tgc.Tensor(random.normal(size=(300, 250)).astype(np.float32), requires_grad=True)
        bias = tgc.Tensor(np.zeros(9, np.float32), requires_grad=True)
        optimizer = kind({"fc.weight": p, "scale": bias}, **{**options, "exclude": "scale"})
        with tgc.settings(threads=threads):
            for _ in range(2):
                optimizer.update([tgc.Tensor(random.normal(size=q.shape).astype(np.float32)) for q in (p, bias)], 0.1)
        ends.append(p.numpy().tobytes())
    assert ends[0] == ends[1] == ends[2]


def test_muons_decay_by_hand():
    """With gradients of zero: p −= rate · decay · p for matrices, and at the share of the rate for the rest; what is excluded stays."""
    tensors = {path: tgc.Tensor(np.full(shape, 8.0), requires_grad=True) for path, shape in
               {"a.weight": (3, 2), "head.weight": (2, 2), "a.bias": (2,), "b.weight": (2, 3), "b.bias": (3,)}.items()}
    optimizer = Muon(tensors, decay=0.5, share=0.25, exclude="b.*", adamw="head.*")
    optimizer.update([tgc.Tensor(np.zeros(p.shape)) for p in tensors.values()], 0.5)
    left = {path: p.numpy().reshape(-1).tolist() for path, p in tensors.items()}
    assert left == {"a.weight": [6.0] * 6, "head.weight": [7.5] * 4, "a.bias": [7.5] * 2, "b.weight": [8.0] * 6, "b.bias": [8.0] * 3}
    assert {name for name in optimizer.state() if "head" in name} == {"first.head.weight", "second.head.weight"}


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (40, 40), (1, 7), (64, 300)])
def test_orthogonal_brings_singular_values_near_one_and_keeps_the_vectors(rng, shape):
    matrix = rng.normal(size=shape)
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    got = orthogonal(tgc.Tensor(matrix)).numpy()
    within = left.T @ got @ right.T                       # diagonal, where the vectors are kept
    np.testing.assert_allclose(within, np.diag(np.diag(within)), atol=1e-9)
    large = np.diag(within)[sizes > 0.02 * np.linalg.norm(matrix)]
    assert len(large) and large.min() > 0.6 and np.diag(within).max() < 1.3
    assert not orthogonal(tgc.Tensor(np.zeros(shape))).numpy().any()


@pytest.mark.parametrize(("kind", "options"), EVERY.values(), ids=EVERY)
def test_a_parameter_of_no_values_is_no_trouble(kind, options):
    tensors = {"none": tgc.Tensor(np.zeros((0, 4)), requires_grad=True), "scale": tgc.Tensor(np.ones(()), requires_grad=True)}
    kind(tensors, **{**options, "exclude": ()}).update([tgc.Tensor(np.zeros((0, 4))), tgc.Tensor(1.0).astype("float64")], 0.1)
    assert tensors["none"].shape == (0, 4) and tensors["scale"].item() < 1


def test_the_same_values_are_not_updated_twice():
    w = tgc.Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"^SGD: fc\.weight and head\.weight are the same values, which would be updated twice\. "):
        SGD({"fc.weight": w, "head.weight": w})
    SGD({"a": w, "b": tgc.Tensor(np.ones((2, 3)), requires_grad=True)})
