"""The networks of the zoo, one of each family: the time to build one, its table, a forward pass and a training step, and their memory.

Images are as large as the network was made for, and as few as keep a call under a second or so on two cores.
"""
from __future__ import annotations

import numpy as np

import tinygradconv as tgc
from tinygradconv import models
from tinygradconv.backends import backend_named
from tinygradconv.train.optim import SGD

from .common import DEVICES, Benchmark, constant

# network: images in a batch. The smallest first.
NETWORKS = {"lenet5": 64, "plain20": 32, "resnet20": 32, "resnet18": 2, "googlenet": 2, "alexnet": 4, "resnet50": 1, "zfnet": 2, "vgg11": 1,
            "vgg16": 1}


class Zoo(Benchmark):
    """What is worked out of a network before the first image."""

    params = [list(NETWORKS)]
    param_names = ["network"]
    repeat = (2, 10, 2.0)

    def prepare(self, network: str) -> None:
        """The spec and its input. asv notes a network that this commit does not have as missing (NotImplementedError)."""
        if network not in models.MODELS:
            raise NotImplementedError(f"no {network} here yet")
        self.spec, self.shape = models.get(network)

    def time_build(self, network: str) -> None:
        """Shape inference, and weights drawn."""
        self.spec.build(self.shape, seed=0)

    def time_table(self, network: str) -> None:
        """Shapes, parameters, MACs and memory, with no array allocated."""
        self.spec.table(self.shape)

    def time_plan(self, network: str) -> None:
        """What is fused in evaluation."""
        self.spec.plan(self.shape, train=False)


class Batch(Benchmark):
    """A built network with a batch of images and labels; it has no timed method of its own."""

    params = [DEVICES, list(NETWORKS)]
    param_names = ["device", "network"]
    repeat = (2, 6, 2.0)

    def prepare(self, device: str, network: str) -> None:
        """Model, batch and optimiser; as in Zoo for a network that is not there."""
        if network not in models.MODELS:
            raise NotImplementedError(f"no {network} here yet")
        spec, shape = models.get(network)
        images = NETWORKS[network]
        self.model = spec.build(shape, seed=0)
        if device != "cpu":
            self.model = self.model.to(device)
        self.x = constant((images, *shape), device)
        self.labels = tgc.Tensor(np.random.default_rng(1).integers(0, self.model.output_shape[-1], images)).to(device)
        self.optimizer = SGD(self.model.parameters, momentum=0.9)

    def forward(self) -> None:
        """The scores of the batch, nothing recorded."""
        with tgc.no_grad():
            self.model(self.x)

    def step(self) -> None:
        """Forward, loss, gradients, update at a rate that changes next to nothing."""
        loss = tgc.cross_entropy(self.model(self.x, train=True), self.labels)
        self.optimizer.update(tgc.grad(loss, list(self.optimizer.parameters.values()), retain_graph=False), 1e-9)


class ZooForward(Batch):
    """Evaluation: batch norms folded into their convolutions."""

    def time_forward(self, device: str, network: str) -> None:
        """Seconds for the batch."""
        self.forward()


class ZooStep(Batch):
    """Training."""

    def time_step(self, device: str, network: str) -> None:
        """Seconds for one step."""
        self.step()


class ZooMemory(Batch):
    """The most memory of a step and of a forward pass."""

    def prepare(self, device: str, network: str) -> None:
        """As in Batch, and a step, in which the optimiser's arrays and the pool are first touched."""
        super().prepare(device, network)
        self.step()

    def peakmem_step(self, device: str, network: str) -> None:
        """The most memory that the process held, Python and NumPy included."""
        self.step()

    def track_peak_forward(self, device: str, network: str) -> int:
        """The most bytes of pooled arrays in use at once in a forward pass, beyond those in use before it; exact."""
        return self._peak(device, self.forward)

    def track_peak_step(self, device: str, network: str) -> int:
        """The same for a training step."""
        return self._peak(device, self.step)

    @staticmethod
    def _peak(device: str, call) -> int:
        before = backend_named(device).memory_statistics(reset_peak=True)["in_use"]
        call()
        return backend_named(device).memory_statistics()["peak"] - before

    track_peak_forward.unit = track_peak_step.unit = "bytes"
