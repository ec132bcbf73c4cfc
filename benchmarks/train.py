"""A training step as a whole, and the optimiser's part of it."""
from __future__ import annotations

import numpy as np

import tinygradconv as tgc
from tinygradconv.models import lenet5
from tinygradconv.spec.table import Ledger
from tinygradconv.train.optim import SGD

from .common import DEVICES, Benchmark, constant, tape_nodes


class LeNet5Step(Benchmark):
    """One step of LeNet-5 on a batch of 64 images: forward, loss, gradients, update."""

    params = [DEVICES]
    param_names = ["device"]

    def prepare(self, device: str) -> None:
        """The model, a batch, and SGD with momentum."""
        self.model = lenet5.build((28, 28, 1), seed=0)
        self.x = constant((64, 28, 28, 1), device)
        self.labels = tgc.Tensor(np.random.default_rng(1).integers(0, 10, 64)).to(device)
        self.optimizer = SGD(self.model.parameters, momentum=0.9)
        self.parameters = list(self.optimizer.parameters.values())

    def loss(self) -> tgc.Tensor:
        """Forward, recorded."""
        return tgc.cross_entropy(self.model(self.x, train=True), self.labels)

    def step(self) -> None:
        """All of a step; the rate is so small that the thousandth step computes what the first did."""
        self.optimizer.update(tgc.grad(self.loss(), self.parameters), 1e-6)

    def time_step(self, device: str) -> None:
        """Seconds for one step."""
        self.step()

    def time_inference(self, device: str) -> None:
        """Seconds for a forward pass that records nothing."""
        with tgc.no_grad():
            self.model(self.x)

    def peakmem_step(self, device: str) -> None:
        """The most memory that the process held."""
        self.step()

    def track_bytes_kept(self, device: str) -> int:
        """What the tape holds for the backward pass, parameters excepted; exact."""
        return Ledger(self.parameters).add(self.loss())

    def track_tape_nodes(self, device: str) -> int:
        """The recorded calls of one forward pass; exact."""
        return tape_nodes(self.loss())

    track_bytes_kept.unit = "bytes"
    track_tape_nodes.unit = "nodes"
