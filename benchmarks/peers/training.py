"""A training step on either side: forward, loss, backward, SGD with momentum and weight decay, from the same weights on the same batch."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tinygradconv as tgc

from ..common import constant, values
from .compare import same
from .torch_models import MODELS as TORCH_MODELS
from .torch_side import channels_first, load, the_torch
from .work import Floor, WrongResultError

MOMENTUM, DECAY = 0.9, 1e-4
RATE = 1e-6                  # while timed: the thousandth step computes what the first did
VISIBLE_RATE = 0.01          # while compared: a wrong step shows in the losses and in the weights
STEPS_COMPARED = 3


def our_model(name: str, shape: tuple[int, ...] | None = None) -> Any:
    """`name` of tinygradconv.models with weights, for images of `shape` or of the model's own."""
    from tinygradconv import models
    spec, default = models.get(name)
    return spec.build(shape or default, seed=0)


def labels_of(model: Any, batch: int) -> np.ndarray:
    """One class for each image."""
    return np.random.default_rng(1).integers(0, model.output_shape[0], batch)


class OurStep:
    """A model of ours, a batch of images, and how it learns from them."""

    def __init__(self, model: Any, batch: int) -> None:
        from tinygradconv.train.optim import SGD
        self.model = model
        self.x, self.labels = constant((batch, *model.input_shape)), tgc.Tensor(labels_of(model, batch))
        self.optimizer = SGD(model.parameters, momentum=MOMENTUM, decay=DECAY)
        self.leaves = list(model.parameters.values())

    def __call__(self, rate: float = RATE) -> tgc.Tensor:
        """One step; returns its loss."""
        loss = tgc.cross_entropy(self.model(self.x, train=True), self.labels)
        self.optimizer.update(tgc.grad(loss, self.leaves, retain_graph=False), rate)
        return loss


class TorchStep:
    """The same for a torch module with our weights (see torch_side.torch_weights); `compute` is how it maps (images, labels) to a loss."""

    def __init__(self, name: str, model: Any, batch: int, weights: Mapping[str, Any], layout: str) -> None:
        torch = the_torch()
        self.module = load(TORCH_MODELS[name](), weights, layout).train()
        self.x = channels_first(values(batch, *model.input_shape), layout)
        self.labels = torch.from_numpy(labels_of(model, batch))
        self.compute: Callable[[Any, Any], Any] = self.eager
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, fused=True)

    def eager(self, x: Any, labels: Any) -> Any:
        """The loss."""
        return the_torch().nn.functional.cross_entropy(self.module(x), labels)

    def __call__(self, rate: float = RATE) -> Any:
        """One step; returns its loss."""
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        loss = self.compute(self.x, self.labels)
        loss.backward()
        self.optimizer.step()
        return loss


def verify(ours: Callable[[float], Any], peers: Mapping[str, Callable[[float], Any]]) -> None:
    """WrongResultError unless the losses of a few steps at a visible rate are the same on all sides.

    The first tells of the forward pass, those after it of the gradients, the momentum and the update.
    """
    losses = {name: [step(VISIBLE_RATE).item() for _ in range(STEPS_COMPARED)] for name, step in {"ours": ours, **peers}.items()}
    for name in peers:
        expected = np.array(losses[name])
        same(f"the loss of the first step, {losses['ours'][0]:.6f}, against {name}, {expected[0]:.6f}",
             np.array(losses["ours"][0]), expected[0], 1e-4)
        learned, mine = expected[0] - expected[1:], expected[0] - np.array(losses["ours"][1:])
        if not np.allclose(mine, learned, rtol=0.03, atol=2e-5):
            raise WrongResultError(f"{STEPS_COMPARED} steps lower the loss by {np.round(mine, 6)}, those of {name} by "
                                   f"{np.round(learned, 6)}; they do not learn the same, so they are not timed")


def floor(model: Any, batch: int, training: bool = True) -> Floor:
    """What a step, or an inference, cannot do without.

    FLOPs: two per multiply-accumulate, forward and for both gradients, without that of the images. Bytes: what convolutions, norms, pools
    and dense layers read and write, the activations as parts of them: once forward, twice as much back. A weight is read in both
    directions, and its gradient written; the update reads weight, gradient and velocity, and writes two of them.
    """
    network = model.network
    macs = [step.macs for step in network.steps if step.macs]
    moved = sum(np.prod(step.shape) + sum(np.prod(shape) for shape in step.input_shapes)
                for step in network.steps if step.parameters or "Pool" in step.kind)
    passes = 3 * sum(macs) - macs[0] if training else sum(macs)
    return Floor(2.0 * batch * float(passes), 4.0 * (batch * float(moved) * (3 if training else 1)
                                                     + model.parameter_count * (8 if training else 1)))
