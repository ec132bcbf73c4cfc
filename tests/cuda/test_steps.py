"""A training step of small networks with the GPU's own kernels, emulated: the loss, every gradient and every weight are the CPU's.

The networks have what LeNet-5 and a ResNet have, on images of 4×4: a block of threads costs the emulator as much for one number as for all.
"""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.spec import AvgPool, BatchNorm, Conv, Dense, Dropout, Flatten, GlobalAvgPool, MaxPool, ReLU, Residual, Tanh
from tinygradconv.train.optim import SGD, Adam

CNN = Conv(3, 3) >> ReLU() >> MaxPool(2) >> Flatten() >> Dense(3)
LENET = Conv(3, 3, padding=1) >> Tanh() >> AvgPool(2) >> Flatten() >> Dense(4) >> Tanh() >> Dense(3)
RESNET = (Conv(2, 3, padding=1) >> BatchNorm() >> ReLU() >> Residual(Conv(2, 3, padding=1) >> BatchNorm()) >> ReLU() >> Dropout(0.3)
          >> GlobalAvgPool() >> Dense(3))


def step(spec, make, device):
    """(loss, gradients, weights and buffers after an update)."""
    model = spec.build((4, 4, 2)).to(device)
    optimizer, rng = make(model.parameters), np.random.default_rng(1)
    x = tgc.Tensor(rng.standard_normal((2, 4, 4, 2)).astype(np.float32)).to(device)
    loss = tgc.cross_entropy(model(x, train=True), tgc.Tensor([0, 2]).to(device))
    gradients = dict(zip(model.parameters, tgc.grad(loss, list(model.parameters.values()))))
    optimizer.update(gradients, 0.1)
    return loss.item(), gradients, {**model.parameters, **model.buffers}


@pytest.mark.parametrize(("spec", "make"), [(CNN, lambda p: SGD(p, momentum=0.9, decay=0.01)), (LENET, SGD),
                                            (RESNET, lambda p: Adam(p, epsilon=0.1))], ids=["CNN", "LeNet", "ResNet"])
def test_a_step_is_the_cpus(emulated, spec, make):
    (loss, *found), (expected, *here) = step(spec, make, "cuda"), step(spec, make, "cpu")
    assert loss == pytest.approx(expected, rel=1e-5)
    for ours, theirs in zip(found, here, strict=True):
        assert ours.keys() == theirs.keys()
        for path, t in ours.items():
            np.testing.assert_allclose(t.numpy(), theirs[path].numpy(), rtol=2e-4, atol=1e-5, err_msg=path)
