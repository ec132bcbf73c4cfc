"""What is measured on a GPU: training steps of networks, matrix products, and works that only move memory.

Ours is captured (tinygradconv.capture). PyTorch runs as it comes (tf32 allowed unless ours is fp32), in its quickest form for networks
(channels_last, autocast to bfloat16, cudnn.benchmark), and compiled with mode="reduce-overhead", which captures graphs too.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any, NamedTuple

import numpy as np

import tinygradconv as tgc

from ..common import values
from .gpu_time import AMP, COMPILED, CUBLAS, EAGER, Job
from .torch_models import MODELS as TORCH_MODELS
from .torch_side import channels_first, load, patience, the_torch, torch_weights
from .training import DECAY, MOMENTUM, RATE, VISIBLE_RATE, floor, labels_of
from .work import OURS, Floor, WrongResultError

COMPILE_SECONDS = 150


class Step(NamedTuple):
    """A training step: how the network is made, images in a batch, the precision, whether torch is compiled for it too."""

    spec: Callable[[], tuple[Any, tuple[int, ...]]]
    torch: str
    batch: int
    precision: str
    compiles: bool


def cifar_resnet18() -> tuple[Any, tuple[int, ...]]:
    """ResNet-18 for 32×32 images: 64 to 512 channels, a 3×3 convolution for a stem and no pool after it."""
    from tinygradconv.models.resnet import basic, projection
    from tinygradconv.spec import BatchNorm, Conv, Dense, GlobalAvgPool, ReLU, Scope
    stages = {f"layer{i + 1}": (basic(64 << i, 2, projection(64 << i, 2)) if i else basic(64)) >> basic(64 << i) for i in range(4)}
    return Scope(conv1=Conv(64, 3, padding=1, bias=False), bn1=BatchNorm(), relu=ReLU(), **stages, avgpool=GlobalAvgPool(),
                 fc=Dense(10)), (32, 32, 3)


def of_zoo(name: str) -> Callable[[], tuple[Any, tuple[int, ...]]]:
    """The spec of this name in tinygradconv.models, and its images' shape."""
    def made() -> tuple[Any, tuple[int, ...]]:
        from tinygradconv import models
        return models.get(name)
    return made


STEPS = {
    "lenet5": Step(of_zoo("lenet5"), "lenet5", 64, "tf32", False),
    "resnet20": Step(of_zoo("resnet20"), "resnet20", 128, "tf32", True),
    "resnet20 AMP": Step(of_zoo("resnet20"), "resnet20", 128, "bf16", False),
    "resnet18 of CIFAR": Step(cifar_resnet18, "cifar_resnet18", 512, "bf16", False),
    "resnet50": Step(of_zoo("resnet50"), "resnet50", 128, "bf16", False),
}


class OurStep:
    """A captured step of ours on a batch of images; the rate is an argument, as in training."""

    def __init__(self, model: Any, batch: int, precision: str) -> None:
        from tinygradconv.train.optim import SGD
        self.model, self.precision = model, precision
        self.x = tgc.Tensor(values(batch, *model.input_shape)).to("cuda")
        self.labels = tgc.Tensor(labels_of(model, batch)).to("cuda")
        self.optimizer = SGD(model.parameters, momentum=MOMENTUM, decay=DECAY)
        self.captured = tgc.capture(self.step)

    def step(self, x: Any, labels: Any, rate: float) -> Any:
        """Forward, backward, update; the loss."""
        loss = tgc.cross_entropy(self.model(x, train=True), labels)
        self.optimizer.update(tgc.grad(loss, list(self.model.parameters.values()), retain_graph=False), rate)
        return loss

    def __call__(self, rate: float = RATE) -> Any:
        """One step; returns its loss."""
        with tgc.settings(precision=self.precision):
            return self.captured(self.x, self.labels, rate)


class TorchStep:
    """The same with a torch module of our weights, as it comes or with autocast and channels_last."""

    def __init__(self, name: str, model: Any, batch: int, amp: bool, compiles: bool = False) -> None:
        torch, layout = the_torch(), "channels_last" if amp else "contiguous_format"
        self.module = load(TORCH_MODELS[name](), torch_weights(model), layout).train().cuda()
        self.forward = torch.compile(self.module, mode="reduce-overhead") if compiles else self.module
        self.x = channels_first(values(batch, *model.input_shape)).cuda().contiguous(memory_format=getattr(torch, layout))
        self.labels, self.amp = torch.from_numpy(labels_of(model, batch)).cuda(), amp
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, fused=True)

    def __call__(self, rate: float = RATE) -> Any:
        """One step; returns its loss."""
        torch = the_torch()
        torch.backends.cudnn.benchmark = self.amp
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16) if self.amp else nullcontext():
            loss = torch.nn.functional.cross_entropy(self.forward(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss


@contextmanager
def torch_precision(precision: str) -> Iterator[None]:
    """tf32 allowed in PyTorch's convolutions and products where ours is tf32 or less."""
    torch = the_torch()
    cudnn, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, products


def step(name: str, peers: bool, compiles: bool) -> Job:
    """One training step of the network called `name`, ours and PyTorch's."""
    what = STEPS[name]
    spec, shape = what.spec()
    model = spec.build(shape, seed=0)
    torch_steps: dict[str, Callable[..., Any]] = {}
    notes = []
    if peers:
        torch_steps[EAGER] = TorchStep(what.torch, model, what.batch, False)
        torch_steps[AMP] = TorchStep(what.torch, model, what.batch, True)
        if compiles and what.compiles:
            try:
                with patience(COMPILE_SECONDS):
                    made = TorchStep(what.torch, model, what.batch, False, True)
                    made().item()
                    torch_steps[COMPILED] = made
            except Exception as problem:            # whatever stops the compiler, the other forms can be measured
                notes.append(f"not compiled: {type(problem).__name__}: {str(problem).strip().splitlines()[:1]}")
    ours = OurStep(model.to("cuda"), what.batch, what.precision)

    def verify() -> None:
        """The losses of the same batch, at a rate at which a step shows; the compiled one has taken a step already."""
        losses = {side: [call(VISIBLE_RATE).item() for _ in range(3)] for side, call in {OURS: ours, **torch_steps}.items()
                  if side != COMPILED}
        for side, theirs in losses.items():
            if not np.allclose(losses[OURS], theirs, rtol=0.02):
                raise WrongResultError(f"three steps have the losses {losses[OURS]}, those of {side} {theirs}")
    return Job({OURS: ours, **torch_steps}, verify, floor(model, what.batch), what.batch, notes)


def product(size: int, precision: str, peers: bool, portable: bool = False) -> Job:
    """A product of two square matrices; `portable`: by the kernel for GPUs that have no wgmma."""
    a, b = (tgc.Tensor(values(size, size, seed=seed)).to("cuda") for seed in range(2))
    if portable:
        from tinygradconv.kernels.matmul import cuda as kernels

        from tinygradconv.backends import backend_named
        gpu = backend_named("cuda")

        def multiply() -> Any:
            y = gpu.empty((size, size), np.float32)
            kernels.matmul(Older(gpu.device), a.data, b.data, y, False, False)
            return tgc.Tensor.of(y)
    else:
        def multiply() -> Any:
            return tgc.matmul(a, b)

    def ours() -> Any:
        with tgc.settings(precision=precision):
            return multiply()

    sides: dict[str, Callable[[], Any]] = {OURS: ours}
    if peers:
        torch = the_torch()
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        ta, tb = (torch.from_numpy(values(size, size, seed=seed)).cuda().to(kind) for seed in range(2))
        sides[CUBLAS] = lambda: ta @ tb

    def verify() -> None:
        rows = values(size, size)[:4].astype(np.float64) @ values(size, size, seed=1).astype(np.float64)
        error = np.linalg.norm(ours().numpy()[:4] - rows) / np.linalg.norm(rows)
        if not error < {"fp32": 1e-5, "tf32": 1e-3, "bf16": 1e-2}[precision]:
            raise WrongResultError(f"the product is {error:.1e} from the one in float64")
    return Job(sides, verify, Floor(2.0 * size ** 3, 4.0 * 3 * size ** 2))


class Older:
    """A device that says it is an A100: what runs on sm_80 and newer is chosen."""

    architecture = "sm_80"

    def __init__(self, device: Any) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


MAPS = (64, 112, 112, 64)                   # 206 MB: more than any cache holds


def streamed(name: str, peers: bool) -> Job:
    """A work that reads and writes arrays and computes little; its floor is every array once, batch norm's input twice."""
    x, other = (tgc.Tensor(values(*MAPS, seed=seed)).to("cuda") for seed in (0, 3))
    scale, shift = (tgc.Tensor(values(MAPS[-1], seed=seed)).to("cuda") for seed in (1, 2))
    calls, passes = {
        "batch norm + relu": (lambda: tgc.batch_norm(x, scale, shift, activation="relu")[0], 3.0),
        "max pool": (lambda: tgc.max_pool2d(x, 2), 1.5),                # a quarter of the values, and of the places
        "average pool": (lambda: tgc.avg_pool2d(x, 2), 1.25),
        "add": (lambda: x + other, 3.0),
        "relu": (lambda: tgc.relu(x), 2.0),
    }[name]
    sides: dict[str, Callable[[], Any]] = {OURS: calls}
    if peers:
        torch = the_torch()
        F = torch.nn.functional
        tx, to = (channels_first(values(*MAPS, seed=seed), "channels_last").cuda() for seed in (0, 3))
        ts, tb = (torch.from_numpy(values(MAPS[-1], seed=seed)).cuda() for seed in (1, 2))
        sides[EAGER] = {"batch norm + relu": lambda: F.relu(F.batch_norm(tx, None, None, ts, tb, True)),
                        "max pool": lambda: F.max_pool2d(tx, 2), "average pool": lambda: F.avg_pool2d(tx, 2),
                        "add": lambda: tx + to, "relu": lambda: F.relu(tx)}[name]

    def verify() -> None:
        if peers:
            mine, theirs = calls().numpy(), sides[EAGER]().permute(0, 2, 3, 1).cpu().numpy()
            if not np.allclose(mine, theirs, rtol=1e-4, atol=1e-4):
                raise WrongResultError(f"{name} differs from PyTorch's by {np.abs(mine - theirs).max():.1e}")
    return Job(sides, verify, Floor(0.0, 4.0 * passes * prod(MAPS)))
