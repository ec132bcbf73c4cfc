"""A step whose convolutions leave sums for the batch norms behind them: the numbers of one without, a launch less for each pair.

Kernels are emulated; images are small, as a block of threads costs the emulator as much for one number as for all.
"""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.spec import BatchNorm, Conv, GlobalAvgPool, ReLU, Residual
from tinygradconv.train.optim import SGD

from .convolutions import fresh, small

__all__ = ["fresh", "small"]               # fixtures
pytestmark = pytest.mark.usefixtures("small")

BLOCK = Conv(3, 3, padding=1, bias=False) >> BatchNorm() >> ReLU() >> Residual(Conv(3, 1, bias=False) >> BatchNorm()) >> ReLU()
PAIR = Conv(3, 1, bias=False) >> BatchNorm() >> ReLU()
SHAPE = 2, 3, 2


def images(seed=0, batch=3, shape=SHAPE):
    return tgc.Tensor(np.random.default_rng(seed).standard_normal((batch, *shape)).astype(np.float32)).to("cuda")


@pytest.fixture
def without(monkeypatch):
    """A function that makes convolutions leave nothing from then on."""
    return lambda: monkeypatch.setattr(Conv, "takes", Conv.takes - {"moments"})


def step(gpu, spec):
    """(launches of the forward pass; y, every gradient, every buffer)."""
    model = spec.build(SHAPE, seed=1).to("cuda")
    parameters, before = list(model.parameters.values()), gpu.device.launches
    y = model(images(), train=True)
    launches = gpu.device.launches - before
    gradients = tgc.grad(y, parameters, images(1, 3, y.shape[1:]))
    return launches, [t.numpy() for t in (y, *gradients, *model.buffers.values())]


def test_a_step_has_a_launch_less_for_each_pair_and_the_same_numbers(emulated, without):
    launches, found = step(emulated, BLOCK)
    without()
    more, expected = step(emulated, BLOCK)
    assert more - launches == 2
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_captured_step_is_the_step(emulated):
    found = []
    with tgc.settings(poison=True):
        for wrap in (lambda function: function, tgc.capture):
            model = PAIR.build(SHAPE, seed=1).to("cuda")
            optimizer = SGD(model.parameters)

            def learn(x, model=model, optimizer=optimizer):
                y = model(x, train=True)
                optimizer.update(tgc.grad(y, list(model.parameters.values()), y), 0.01)
                return y
            call = wrap(learn)                                           # as it is, recorded and replayed, replayed
            results = [call(images(i)).tolist() for i in range(3)]
            found.append([results, *(t.tolist() for t in (*model.parameters.values(), *model.buffers.values()))])
    assert found[0] == found[1] and found[0][0][1] != found[0][0][2]


def test_what_is_run_again_for_its_gradient_leaves_sums_again(emulated):
    model = PAIR.build(SHAPE, seed=1).to("cuda")
    parameters, launches, found = list(model.parameters.values()), [], []
    for wrap in (lambda function: function, tgc.remat):
        before = emulated.device.launches
        y = wrap(lambda x: model(x, train=True))(images())
        found.append([t.tolist() for t in tgc.grad(y, parameters, images(1, 3, y.shape[1:]))])
        launches.append(emulated.device.launches - before)
    assert found[0] == found[1]
    assert launches[1] - launches[0] == 2                                # the convolution, which leaves its sums, and the batch norm


def norm_of(y, moments):
    one = tgc.Tensor(np.ones(3, np.float32)).to("cuda")
    return tgc.batch_norm(y, one, 0 * one, moments=moments)


def convolved(moments):
    w = tgc.Tensor(np.random.default_rng(2).standard_normal((1, 1, 2, 3)).astype(np.float32)).to("cuda")
    return tgc.conv2d(images(), w, moments=moments)


def test_plain_ops_take_them_too_also_through_a_reshape(emulated):
    moments: dict = {}
    y = convolved(moments)
    assert len(moments) == 1
    before = emulated.device.launches
    found = norm_of(y.reshape((18, 3)), moments)
    launches = emulated.device.launches - before
    expected = norm_of(y.reshape((18, 3)), None)
    assert not moments and emulated.device.launches - before - launches == launches + 1
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_an_array_that_was_changed_in_place_is_summed_anew(emulated):
    moments: dict = {}
    y = convolved(moments)
    p = y.detach().requires_grad_()
    SGD({"p": p}).update({"p": images(3, 3, p.shape[1:])}, 1.0)
    (_, mean, variance), values = norm_of(y, moments), y.numpy()
    np.testing.assert_allclose(mean.numpy(), values.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance.numpy(), values.var((0, 1, 2)), rtol=1e-5)


def test_in_evaluation_and_on_the_cpu_nothing_is_left(emulated, monkeypatch):
    asked, run = [], emulated.run
    monkeypatch.setattr(emulated, "run", lambda *arguments, moments=None, **more: asked.append(moments) or run(*arguments, **more))
    model = (Conv(3, 1) >> BatchNorm() >> GlobalAvgPool()).build(SHAPE).to("cuda")
    model(images())
    assert asked and not any(moments is not None for moments in asked)
    moments: dict = {}
    tgc.conv2d(np.ones((1, 3, 3, 2), np.float32), np.ones((1, 1, 2, 3), np.float32), moments=moments)
    assert not moments
