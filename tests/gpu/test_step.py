"""Whole training steps on the GPU: the same bits every time, captured or not; and the CPU's weights and dropped units."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import models
from tinygradconv.ops.random import key_of, random_bits
from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool, ReLU
from tinygradconv.train.optim import SGD, Adam

from .derived import error

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]
PRECISIONS = ["fp32", "tf32", "bf16"]


def network():
    """Convolutions with and without batch norm, a pool, dropout."""
    return (Conv(16, 3, padding=1) >> BatchNorm() >> ReLU() >> MaxPool(2) >> Conv(32, 3, padding=1) >> ReLU() >> Flatten() >> Dropout(0.3)
            >> Dense(10))


class Training:
    """A network, its optimiser, and a step."""

    def __init__(self, spec, shape, make, device="cuda"):
        self.model = spec.build(shape, seed=0).to(device)
        self.optimizer, self.device = make(self.model.parameters), device

    def step(self, x, labels, rate):
        """One step; returns the loss."""
        loss = tgc.cross_entropy(self.model(x, train=True), labels)
        self.optimizer.update(tgc.grad(loss, list(self.model.parameters.values()), retain_graph=False), rate)
        return loss

    def run(self, step, count, batch=32):
        """`count` steps of random batches; [losses, parameters, buffers, what the optimiser remembers] by name."""
        losses = []
        for i in range(count):
            rng = np.random.default_rng(i)
            x = tgc.Tensor(rng.standard_normal((batch, *self.model.input_shape)).astype(np.float32)).to(self.device)
            labels = tgc.Tensor(rng.integers(0, 10, batch)).to(self.device)
            losses.append(step(x, labels, 0.05 / (1 + i)))
        tensors = {**self.model.parameters, **self.model.buffers}
        return {"losses": np.array([loss.item() for loss in losses]), **{path: t.numpy() for path, t in tensors.items()},
                **self.optimizer.state()}


MAKERS = {"sgd": lambda p: SGD(p, momentum=0.9, decay=1e-4), "nesterov": lambda p: SGD(p, momentum=0.9, nesterov=True), "adam": Adam}


def different(one, other):
    """The names under which the bits are not the same."""
    return [name for name, values in one.items() if not np.array_equal(values, other[name])]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("maker", MAKERS)
def test_repeated_is_the_same_and_captured_is_eager(maker, precision):
    with tgc.settings(precision=precision):
        results = []
        for captured in (False, False, True):
            training = Training(network(), (8, 8, 3), MAKERS[maker])
            results.append(training.run(tgc.capture(training.step) if captured else training.step, 6))
    assert not different(results[0], results[1]), "a second run gave other bits"
    assert not different(results[0], results[2]), "captured steps gave other bits than eager ones"
    assert np.isfinite(results[0]["losses"]).all()


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_a_network_learns_on_the_gpu_what_it_learns_on_the_cpu(name):
    spec, shape = models.get(name)
    results = []
    for device in ("cpu", "cuda"):
        training = Training(spec, shape, MAKERS["sgd"], device)
        with tgc.settings(precision="fp32"):
            results.append(training.run(training.step, 3, batch=16))
    on_cpu, on_gpu = results
    for names in (["losses"], list(training.model.parameters), list(training.model.buffers)):
        assert error([on_gpu[name] for name in names], [on_cpu[name].astype(np.float64) for name in names]) < 1e-3, names[0]


def test_weights_and_random_numbers_are_the_cpus():
    on_cpu, on_gpu = (network().build((8, 8, 3), seed=3).to(device) for device in ("cpu", "cuda"))
    assert all((p.numpy() == on_gpu.parameters[path].numpy()).all() for path, p in on_cpu.parameters.items())
    x = np.ones((513, 37), np.float32)
    for step in (0, 1, 2 ** 33):
        dropped = [tgc.dropout(tgc.Tensor(x).to(device), 0.4, key=key_of(1, "here"), step=step).numpy() for device in ("cpu", "cuda")]
        assert (dropped[0] == dropped[1]).all()
    bits = random_bits((1001,), key=5, step=7).numpy()
    from tinygradconv.backends import backend_named
    gpu = backend_named("cuda")
    drawn = gpu.empty((1001,), np.uint32)
    gpu.run("random_bits", drawn, 5, 7)
    assert (gpu.to_numpy(drawn) == bits).all()


def test_memory_of_a_captured_step_does_not_grow():
    training = Training(network(), (8, 8, 3), MAKERS["sgd"])
    step = tgc.capture(training.step)
    training.run(step, 20)
    before = tgc.memory_statistics("cuda")
    training.run(step, 20)
    after = tgc.memory_statistics("cuda")
    assert after["in_use"] == before["in_use"] and after["cached"] <= before["cached"]


def test_an_error_names_the_kernel():
    x = tgc.Tensor(np.ones(3, np.float32)).to("cuda")
    with tgc.settings(launch_blocking=True):
        assert (x + x).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="it reads values of the GPU on the host"):
        step = tgc.capture(lambda x: x * x.sum().item())
        for _ in range(2):
            step(x)
    assert (x + x).tolist() == [2, 2, 2]
