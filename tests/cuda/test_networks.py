"""Networks on the CUDA back end: training steps, optimisers, running means and snapshots give there what they give on the CPU.

With kernels that are their NumPy definitions on both sides the engine and all above it are compared: whole networks, every optimiser.
"""
from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import data, models
from tinygradconv.models.lenet import lenet5_1998
from tinygradconv.spec import (
    LRN,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm,
    MaxPool,
    ReLU,
    Residual,
    Tanh,
)
from tinygradconv.spec.initial import Constant
from tinygradconv.train import LossError, Recipe, clip_by_global_norm, sessions
from tinygradconv.train.ema import EMA
from tinygradconv.train.evaluate import evaluate
from tinygradconv.train.optim import LARS, SGD, Adam, AdamW, Muon, RMSprop
from tinygradconv.train.training import Training
from tinygradconv.train.weights import load_weights, weights_of

BRANCH = Conv(4, 3, padding=1) >> BatchNorm() >> ReLU() >> Conv(4, 3, padding=1) >> BatchNorm()
BLOCK = (Conv(4, 3, padding=1) >> BatchNorm() >> ReLU() >> Residual(BRANCH) >> ReLU() >> MaxPool(2) >> Dropout(0.3) >> GlobalAvgPool()
         >> Dense(10))
NORMS = Conv(4, 3, padding=1) >> LRN() >> AvgPool(2) >> GroupNorm(2) >> Tanh() >> Flatten() >> LayerNorm() >> Dense(10)
SMALL = Conv(3, 3) >> ReLU() >> Flatten() >> Dense(10)
MAKERS = {"SGD": lambda p: SGD(p, momentum=0.9, nesterov=True, decay=0.01), "Adam": lambda p: Adam(p, epsilon=0.1), "AdamW": AdamW,
          "RMSprop": RMSprop, "RMSprop, centred": lambda p: RMSprop(p, momentum=0.9, centred=True, epsilon=0.1), "LARS": LARS,
          "Muon": Muon}


def trained(spec, shape, make, device, steps=2, batch=2):
    """(losses, evaluation, weights, the optimiser's state, the running means) of a few steps."""
    model = spec.build(shape).to(device)
    optimizer, ema, rng, losses = make(model.parameters), EMA(model, 0.9), np.random.default_rng(1), []
    for _ in range(steps):
        x = tgc.Tensor(rng.standard_normal((batch, *shape)).astype(np.float32)).to(device)
        loss = tgc.cross_entropy(model(x, train=True), tgc.Tensor(rng.integers(0, 10, batch)).to(device))
        losses.append(loss.item())
        gradients = dict(zip(model.parameters, tgc.grad(loss, list(model.parameters.values()))))
        optimizer.update(clip_by_global_norm(gradients, 1.0)[0], 0.05)
        ema.update()
    assert all(t.device == device for t in (*model.parameters.values(), *model.buffers.values()))
    with ema.applied():
        averaged = model(x).numpy()
    return np.array(losses), averaged, model(x).numpy(), weights_of(model), optimizer.state(), ema.state()


def compare(found, expected, **tolerance):
    for ours, theirs in zip(found, expected):
        if isinstance(theirs, dict):
            assert ours.keys() == theirs.keys()
            compare(ours.values(), theirs.values(), **tolerance)
        else:
            np.testing.assert_allclose(ours, theirs, **tolerance)


NETWORKS = [(BLOCK, (4, 4, 2)), (NORMS, (4, 4, 1)), (models.lenet5, (28, 28, 1)), (lenet5_1998(), (32, 32, 1))]


@pytest.mark.parametrize(("spec", "shape"), NETWORKS)
def test_a_network_learns_there_what_it_learns_here(gpu, spec, shape):
    with tgc.settings(backend="reference"):
        expected = trained(spec, shape, MAKERS["SGD"], "cpu")
    compare(trained(spec, shape, MAKERS["SGD"], "cuda"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_every_optimiser_steps_there_as_here(gpu, name):
    with tgc.settings(backend="reference"):
        expected = trained(SMALL, (4, 4, 1), MAKERS[name], "cpu")
    compare(trained(SMALL, (4, 4, 1), MAKERS[name], "cuda"), expected, rtol=1e-4, atol=1e-6)


def test_a_training_goes_on_on_another_device(gpu):
    there, here = BLOCK.build((4, 4, 2)).to("cuda"), BLOCK.build((4, 4, 2), seed=5)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 2)).astype(np.float32)
    first, second = (SGD(model.parameters, momentum=0.9) for model in (there, here))
    for _ in range(2):
        loss = there(tgc.Tensor(x).to("cuda"), train=True).sum()
        first.update(tgc.grad(loss, list(there.parameters.values())), 0.1)
    load_weights(here, weights_of(there))
    second.restore(first.state())
    assert here.device == "cpu" and second.steps == 2
    compare([second.state(), weights_of(here)], [first.state(), weights_of(there)], rtol=0)
    load_weights(there, weights_of(BLOCK.build((4, 4, 2))))
    first.restore(SGD(there.parameters, momentum=0.9).state())
    assert there.device == "cuda" and not first.state()["velocity.0.weight"].any()


def test_a_whole_training_runs_there(gpu):
    digits, recipe = data.get("digits"), Recipe("sgd", 0.05, epochs=1, batch_size=8, clip=1.0, ema=0.9, options={"momentum": 0.9})

    def run(device):
        training = Training(SMALL.build(digits.input_shape).to(device), digits, recipe)
        losses = [training.step(x, labels) for x, labels in itertools.islice(training.batches(), 3)]
        training.restore(training.state())
        return np.array(losses), training.position.correct_sum, training.weights(), training.state().optimizer
    with tgc.settings(backend="reference"):
        expected = run("cpu")
    compare(run("cuda"), expected, rtol=1e-4, atol=1e-6)


def test_a_run_is_trained_there_and_judged_here(gpu, tmp_path, capsys):
    session = sessions.begin("lenet5", epochs=1, batch_size=500, seed=3, out=str(tmp_path / "run"), device="cuda")
    assert session.train() == 0 and session.device == "cuda" and session.run.config["versions"]["kernels"] == "sm_90, fp32"
    assert session._learner(data.get("digits")).device == "cuda" and {"sgd", "adam"} & set(gpu.ran)
    trained = capsys.readouterr().out.splitlines()[-1]
    assert sessions.reopen(tmp_path / "run").evaluate() == trained


def test_a_training_that_diverges_there_is_stopped_with_the_op(gpu):
    digits, recipe = data.get("digits"), Recipe("sgd", 0.05, epochs=1, batch_size=8)
    training = Training((Flatten() >> Dense(4, init=Constant(3e38)) >> Dense(10)).build(digits.input_shape).to("cuda"), digits, recipe)
    with pytest.raises(LossError, match=r"at step 1 \(epoch 1, batch 1\): dense at .*: finite inputs gave -?(inf|nan) at index"):
        training.step(*next(training.batches()))


def test_a_model_is_moved_and_the_one_here_stays(gpu):
    here = BLOCK.build((4, 4, 2))
    here.freeze("0")
    there = here.to("cuda")
    assert (here.device, there.device, there.to("cuda") is there, there.to("cpu").device) == ("cpu", "cuda", True, "cpu")
    assert there.learned.keys() == here.learned.keys() and all(p.node.op is None for p in there.learned.values())
    replaced = there.replace("8", Dense(3))
    assert replaced.device == "cuda" and replaced.parameters["8.weight"].device == "cuda" and replaced.output_shape == (3,)
    x, labels = np.zeros((3, 4, 4, 2), np.float32), np.zeros(3, np.int64)
    assert evaluate(there, [(x, labels)]) == evaluate(here, [(x, labels)])
    with pytest.raises(ValueError, match=r"conv2d: x is on cpu but w is on cuda. Move one: w.to\('cpu'\)"):
        there(x)


def test_gradients_on_another_device_are_refused(gpu):
    p = tgc.Tensor([1.0, 2.0]).to("cuda").requires_grad_()
    with pytest.raises(ValueError, match="SGD: p is on cuda but its gradient is on cpu"):
        SGD({"p": p}).update({"p": tgc.Tensor([1.0, 1.0])}, 0.1)
    with pytest.raises(ValueError, match="SGD: p and q are the same values, which would be updated twice"):
        SGD({"p": p, "q": p.reshape(2).detach().requires_grad_()})
