"""What all benchmarks share: layers that people know by name, inputs that never change, and when the work of preparing is done.

Everything is float32, channels last, from a fixed seed. The first of a benchmark's parameters is the smallest.
"""
from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygradconv as tgc


def devices() -> list[str]:
    """Where benchmarks run here: on the CPU, and where this machine can compute on a GPU, there too. Nothing is imported to find out."""
    try:
        from tinygradconv.backends.cuda.toolchain import obstacles
        return ["cpu"] if obstacles() else ["cpu", "cuda"]
    except ImportError:                        # a commit that has no CUDA back end
        return ["cpu"]


DEVICES = devices()


class ConvLayer(NamedTuple):
    """A convolution layer with its batch: x (N, size, size, C), w (kernel_size, kernel_size, C/groups, O)."""

    N: int
    size: int
    C: int
    kernel_size: int
    O: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """(N, size, size, C)."""
        return self.N, self.size, self.size, self.C

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """(kernel_size, kernel_size, C/groups, O)."""
        return self.kernel_size, self.kernel_size, self.C // self.groups, self.O

    @property
    def options(self) -> dict[str, int]:
        """The keywords of conv2d."""
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}


# name: network, window, channels in, channels out where they differ, image size where the network has several of the kind.
LAYERS = {
    "lenet_c3":               ConvLayer(64, 14, 6, 5, 16),
    "lenet_c1":               ConvLayer(64, 28, 1, 5, 6, padding=2),
    "resnet20_stem":          ConvLayer(128, 32, 3, 3, 16, padding=1),
    "resnet20_3x3_16":        ConvLayer(128, 32, 16, 3, 16, padding=1),
    "resnet20_3x3_16_32":     ConvLayer(128, 32, 16, 3, 32, stride=2, padding=1),
    "resnet20_3x3_32":        ConvLayer(128, 16, 32, 3, 32, padding=1),
    "resnet20_3x3_64":        ConvLayer(128, 8, 64, 3, 64, padding=1),
    "resnet_stem":            ConvLayer(8, 224, 3, 7, 64, stride=2, padding=3),
    "resnet_3x3_64_56":       ConvLayer(8, 56, 64, 3, 64, padding=1),
    "resnet_3x3_64_128":      ConvLayer(8, 56, 64, 3, 128, stride=2, padding=1),
    "resnet_3x3_256_14":      ConvLayer(8, 14, 256, 3, 256, padding=1),
    "resnet_3x3_512_7":       ConvLayer(8, 7, 512, 3, 512, padding=1),
    "resnet_1x1_64_256":      ConvLayer(8, 56, 64, 1, 256),
    "alexnet_conv2":          ConvLayer(8, 27, 96, 5, 256, padding=2, groups=2),
    "mobilenet_3x3_depthwise": ConvLayer(8, 56, 128, 3, 128, padding=1, groups=128),
}

# The outputs of some of them, for ops that work value by value.
ACTIVATIONS = {
    "lenet_c1":         (64, 28, 28, 6),
    "resnet_3x3_64_56": (8, 56, 56, 64),
}


def values(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal random numbers, float32: the same in every run."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def constant(shape: tuple[int, ...], device: str = "cpu", *, seed: int = 0) -> tgc.Tensor:
    """A tensor of `values` that asks for no gradient."""
    return tgc.Tensor(values(*shape, seed=seed)).to(device)


def variable(shape: tuple[int, ...], device: str = "cpu", *, seed: int = 0) -> tgc.Tensor:
    """A tensor of `values` whose gradient is wanted."""
    return constant(shape, device, seed=seed).requires_grad_()


def tape_nodes(y: tgc.Tensor) -> int:
    """How many recorded calls led to y; leaves are not calls."""
    seen, waiting = set(), [y.node]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen and node.op is not None:
            seen.add(node)
            waiting.extend(node.parents)
    return len(seen)


def finish(device: str) -> None:
    """Wait until a GPU has computed what it was given."""
    if device == "cuda":
        from tinygradconv.backends import backend_named
        backend_named(device).synchronize()


def finished(body: Callable[..., Any]) -> Callable[..., Any]:
    """A timed body that waits for the GPU where it computes there."""
    @functools.wraps(body)
    def timed(self: Benchmark, *parameters: str) -> Any:
        result = body(self, *parameters)
        if "device" in self.param_names:
            finish(parameters[self.param_names.index("device")])
        return result
    return timed


class Benchmark(ABC):
    """A class of benchmarks. Before each timed call asv calls `setup`; only the first does any work: `prepare`, and every timed body once.

    So neither the first call's costs (buffers, caches, page faults, kernels compiled for a GPU) nor the inputs are in the times, and what
    runs on a GPU is waited for. `version` ties results to what is measured: raise it, in the class that has changed, when its old results
    no longer compare; until then its text may be edited.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "cuda" in DEVICES:
            for name, body in list(vars(cls).items()):
                if name.startswith("time_"):
                    setattr(cls, name, finished(body))

    version = "1"
    repeat = (3, 30, 1.0)             # samples: at least, at most, and seconds after which the least suffice
    param_names: list[str] = []

    @abstractmethod
    def prepare(self, *parameters: str) -> None:
        """Make the inputs of the timed methods."""

    def setup(self, *parameters: str) -> None:
        """asv's hook; see the class."""
        if getattr(self, "_prepared_for", None) == parameters:
            return
        self.prepare(*parameters)
        for name in dir(self):
            if name.startswith("time_"):
                getattr(self, name)(*parameters)
        self._prepared_for = parameters


class ForwardAndGradient(Benchmark):
    """The recorded forward pass of `self.op(self.x)`, and the derivative with respect to `self.x`, both set by `examine`."""

    def examine(self, op, x: tgc.Tensor) -> None:
        """To be called by `prepare`: op is a function of one tensor, x a variable."""
        self.op, self.x = op, x
        self.y = op(x)
        self.g = constant(self.y.shape, self.y.device, seed=1)

    def time_forward(self, *parameters: str) -> None:
        """The op, recorded as in training."""
        self.op(self.x)

    def time_gradient(self, *parameters: str) -> None:
        """Its derivative rules only: the forward pass was made before."""
        tgc.grad(self.y, self.x, self.g)
