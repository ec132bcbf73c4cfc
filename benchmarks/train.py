"""Training steps and inference as a whole, on the networks of the zoo."""
from __future__ import annotations

import timeit

import numpy as np

import tinygradconv as tgc
from tinygradconv.models import MODELS, get
from tinygradconv.spec.table import Ledger
from tinygradconv.train.optim import SGD

from .common import DEVICES, Benchmark, constant, finish, tape_nodes

STEPS = {"lenet5": 64, "resnet20": 128, "resnet18": 8}                    # network: images in a batch
INFERENCES = {"lenet5": 64, "resnet20": 128, "resnet18": 8, "vgg16": 2}


class Network(Benchmark):
    """A network and a batch; `prepare` is the time to add what else is needed."""

    repeat = (2, 10, 2.0)

    def build(self, device: str, network: str, images: int) -> None:
        """The model and its batch. asv notes a network that this commit does not have as missing (NotImplementedError)."""
        if network not in MODELS:
            raise NotImplementedError(f"no {network} here yet")
        spec, shape = get(network)
        self.model = spec.build(shape, seed=0)
        if device != "cpu":
            self.model = self.model.to(device)
        self.x = constant((images, *shape), device)


class TrainingStep(Network):
    """What the benchmarks of a training step share: SGD with momentum, cross-entropy. It has no timed method of its own."""

    params = [DEVICES, list(STEPS)]
    param_names = ["device", "network"]

    def prepare(self, device: str, network: str) -> None:
        """Model, batch, labels and optimiser, and a step, in which the pool fills."""
        self.build(device, network, STEPS[network])
        classes = self.model(self.x[:1]).shape[-1]
        self.labels = tgc.Tensor(np.random.default_rng(1).integers(0, classes, STEPS[network])).to(device)
        self.optimizer = SGD(self.model.parameters, momentum=0.9)
        self.parameters = list(self.optimizer.parameters.values())
        self.step()

    def loss(self) -> tgc.Tensor:
        """Forward, recorded."""
        return tgc.cross_entropy(self.model(self.x, train=True), self.labels)

    def step(self) -> None:
        """All of a step; the rate is so small that the thousandth step computes what the first did."""
        self.optimizer.update(tgc.grad(self.loss(), self.parameters), 1e-9)


class Step(TrainingStep):
    """One step: forward, loss, gradients, update."""

    def time_step(self, device: str, network: str) -> None:
        """Seconds for one step."""
        self.step()

    def track_time_per_image(self, device: str, network: str) -> float:
        """The quickest of three steps, shared out among the images: comparable between networks' batches."""
        return 1e3 * min(timeit.repeat(lambda: (self.step(), finish(device)), number=1, repeat=3)) / STEPS[network]

    def track_tape_nodes(self, device: str, network: str) -> int:
        """The recorded calls of one forward pass; exact."""
        return tape_nodes(self.loss())

    def track_bytes_kept(self, device: str, network: str) -> int:
        """What the tape holds for the backward pass, parameters excepted; exact."""
        return Ledger(self.parameters).add(self.loss())

    track_time_per_image.unit = "ms/image"
    track_tape_nodes.unit = "nodes"
    track_bytes_kept.unit = "bytes"


class CapturedStep(TrainingStep):
    """One step through tinygradconv.capture: on a GPU one CUDA graph is started, on the CPU the function is called."""

    def prepare(self, device: str, network: str) -> None:
        """The step, recorded. asv notes a commit without capture as missing."""
        if not hasattr(tgc, "capture"):
            raise NotImplementedError("no capture here yet")
        super().prepare(device, network)
        self.captured = tgc.capture(self.learn)
        for _ in range(3):
            self.captured(self.x, self.labels, 1e-9)

    def learn(self, x: tgc.Tensor, labels: tgc.Tensor, rate: float) -> tgc.Tensor:
        """What is recorded."""
        loss = tgc.cross_entropy(self.model(x, train=True), labels)
        self.optimizer.update(tgc.grad(loss, self.parameters, retain_graph=False), rate)
        return loss

    def time_step(self, device: str, network: str) -> None:
        """Seconds for one step."""
        self.captured(self.x, self.labels, 1e-9)


class InferenceBatch(Network):
    """What the benchmarks of inference share: a forward pass that records nothing. It has no timed method of its own."""

    params = [DEVICES, list(INFERENCES)]
    param_names = ["device", "network"]

    def prepare(self, device: str, network: str) -> None:
        """Model and batch."""
        self.build(device, network, INFERENCES[network])

    def infer(self) -> None:
        """The scores of one batch."""
        with tgc.no_grad():
            self.model(self.x)


class Inference(InferenceBatch):
    """One batch."""

    def time_batch(self, device: str, network: str) -> None:
        """Seconds for one batch."""
        self.infer()

    def track_time_per_image(self, device: str, network: str) -> float:
        """The quickest of three batches, shared out among the images."""
        return 1e3 * min(timeit.repeat(lambda: (self.infer(), finish(device)), number=1, repeat=3)) / INFERENCES[network]

    track_time_per_image.unit = "ms/image"
