"""The works that both commits are measured on: from one kernel call to a whole training step, each a few milliseconds or less.

Callgrind runs them some hundred times slower than the processor, hence the small batches. A work is made by a function that takes
nothing, in the process of the commit that it measures: what an older commit lacks is an error there, and the work is left out.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import tinygradconv as tgc

from ..common import LAYERS, constant, variable


class Work(NamedTuple):
    """`call()` is measured; `record()`, where there is a tape to count, returns the last tensor on it, and `leaves` are its beginnings."""

    call: Callable[[], Any]
    record: Callable[[], tgc.Tensor] | None = None
    leaves: Sequence[tgc.Tensor] = ()


WORKS: dict[str, Callable[[], Work]] = {}


def _pair(name: str, op: Callable[[tgc.Tensor], tgc.Tensor], shape: tuple[int, ...]) -> None:
    """Two works: op on a variable of this shape, recorded; and its derivative."""
    def forward() -> Work:
        x = variable(shape)
        return Work(lambda: op(x), lambda: op(x), [x])

    def gradient() -> Work:
        x = variable(shape)
        y = op(x)
        g = constant(y.shape, seed=1)
        return Work(lambda: tgc.grad(y, x, g))

    WORKS[f"{name}: forward"] = forward
    WORKS[f"{name}: gradient"] = gradient


def _product(name: str, op: Callable[[tgc.Tensor, tgc.Tensor], tgc.Tensor], a_shape: tuple[int, ...], b_shape: tuple[int, ...],
             settings: Callable[[], Any] = contextlib.nullcontext) -> None:
    """Three works, of an op that is linear in both its inputs: the op, and the gradient of each input alone; all under `settings`."""
    def under_settings(call: Callable[[], Any]) -> Callable[[], Any]:
        def within() -> Any:
            with settings():
                return call()
        return call if settings is contextlib.nullcontext else within

    def forward() -> Work:
        a, b = constant(a_shape), constant(b_shape, seed=1)
        return Work(under_settings(lambda: op(a, b)))

    def gradient(of_a: bool) -> Work:
        a = (variable if of_a else constant)(a_shape)
        b = (constant if of_a else variable)(b_shape, seed=1)
        y = op(a, b)
        g, leaf = constant(y.shape, seed=2), a if of_a else b
        return Work(under_settings(lambda: tgc.grad(y, leaf, g)), lambda: op(a, b), [leaf])

    WORKS[f"{name}: forward"] = forward
    WORKS[f"{name}: grad-input"] = lambda: gradient(True)
    WORKS[f"{name}: grad-weight"] = lambda: gradient(False)


# Convolutions: (batch, image size) in place of the layer's own.
CONVS = {"lenet_c3": (8, 14), "resnet20_stem": (1, 32), "resnet20_3x3_16": (1, 32), "resnet20_3x3_16_32": (1, 32),
         "resnet_3x3_64_56": (1, 14), "resnet_1x1_64_256": (1, 14), "resnet_stem": (1, 32), "mobilenet_3x3_depthwise": (1, 28)}
EXACT = ("resnet20_3x3_16", "resnet_3x3_64_56")


def _conv(layer: str, name: str, settings: Callable[[], Any] = contextlib.nullcontext) -> None:
    batch, size = CONVS[layer]
    shape = LAYERS[layer]._replace(N=batch, size=size)
    _product(name, lambda x, w: tgc.conv2d(x, w, **shape.options), shape.x_shape, shape.w_shape, settings)


for _layer in CONVS:
    _conv(_layer, f"conv {_layer}")
for _layer in EXACT:                              # where Winograd is chosen, the direct kernels all the same
    _conv(_layer, f"conv {_layer} exact", lambda: tgc.settings(exact=True))

for _name, (_m, _k, _n) in {"lenet_f6": (64, 120, 84), "64x256x256": (64, 256, 256), "resnet18_head": (8, 512, 1000)}.items():
    _product(f"matmul {_name}", lambda a, b: tgc.matmul(a, b), (_m, _k), (_k, _n))

for _name, _shape, _op in [
    ("pool lenet_avg_2x2", (16, 28, 28, 6), lambda x: tgc.avg_pool2d(x, 2)),
    ("pool cifar_max_2x2", (4, 32, 32, 16), lambda x: tgc.max_pool2d(x, 2)),
    ("pool resnet_max_3x3_stride_2", (1, 56, 56, 64), lambda x: tgc.max_pool2d(x, 3, stride=2, padding=1)),
    ("pool resnet_global_avg", (8, 7, 7, 256), lambda x: tgc.global_avg_pool(x)),
    ("norm batch_norm_resnet20_32_16", (8, 32, 32, 16), lambda x: tgc.batch_norm(x, constant((16,)), constant((16,)))[0]),
    ("norm group_norm_resnet_14_64", (4, 14, 14, 64), lambda x: tgc.group_norm(x, 32, constant((64,)), constant((64,)))),
    ("elementwise relu", (8, 32, 32, 16), lambda x: tgc.relu(x)),
    ("elementwise tanh", (8, 32, 32, 16), lambda x: tgc.tanh(x)),
    ("elementwise add", (8, 32, 32, 16), lambda x: x + x),
    ("reduce mean_over_image", (8, 32, 32, 16), lambda x: tgc.mean(x, axis=(1, 2))),
    ("softmax", (64, 100), lambda x: tgc.softmax(x)),
    ("loss cross_entropy", (64, 100), lambda x: tgc.cross_entropy(x, tgc.Tensor(np.arange(64) % 100))),
    ("loss mse", (64, 100), lambda x: tgc.mse(x, constant((64, 100)))),
]:
    _pair(_name, _op, _shape)


def _chain(op: Callable[[tgc.Tensor], tgc.Tensor]) -> Callable[[tgc.Tensor], tgc.Tensor]:
    """30 calls of one op, one on another."""
    def calls(x: tgc.Tensor) -> tgc.Tensor:
        for _ in range(30):
            x = op(x)
        return x
    return calls


_half = 0.5 * np.eye(8, dtype=np.float32)
for _name, _op in {"multiply": lambda x: x * 0.5, "tanh": lambda x: tgc.tanh(x), "matmul": lambda x: tgc.matmul(x, _half)}.items():
    _pair(f"dispatch {_name}", _chain(_op), (8, 8))


def _unrecorded() -> Work:
    """The chain of tanh with no tape."""
    x, chain = constant((8, 8)), _chain(lambda x: tgc.tanh(x))
    return Work(lambda: chain(x))


def _step(model: str, shape: tuple[int, ...], classes: int) -> Callable[[], Work]:
    """Forward, loss, gradients and the update of SGD with momentum; the rate is so small that each step computes the same."""
    def make() -> Work:
        from tinygradconv.models import get
        from tinygradconv.train.optim import SGD
        network = get(model)[0].build(shape[1:], seed=0)
        optimizer = SGD(network.parameters, momentum=0.9)
        parameters = list(optimizer.parameters.values())
        x, labels = constant(shape), tgc.Tensor(np.arange(shape[0]) % classes)

        def loss() -> tgc.Tensor:
            return tgc.cross_entropy(network(x, train=True), labels)
        return Work(lambda: optimizer.update(tgc.grad(loss(), parameters), 1e-9), loss, parameters)
    return make


def _inference() -> Work:
    """LeNet-5 without a tape."""
    from tinygradconv.models import lenet5
    network, x = lenet5.build((28, 28, 1), seed=0), constant((8, 28, 28, 1))

    def call() -> tgc.Tensor:
        with tgc.no_grad():
            return network(x)
    return Work(call)


def _block() -> Work:
    """Convolution, batch norm, ReLU and 2×2 maxima, and the gradients of all four inputs."""
    leaves = [variable((4, 16, 16, 16)), variable((3, 3, 16, 32), seed=1), variable((32,), seed=2), variable((32,), seed=3)]

    def record() -> tgc.Tensor:
        x, w, scale, shift = leaves
        return tgc.sum(tgc.max_pool2d(tgc.relu(tgc.batch_norm(tgc.conv2d(x, w, padding=1), scale, shift)[0]), 2))
    return Work(lambda: tgc.grad(record(), leaves), record, leaves)


def _update(kind: str) -> Callable[[], Work]:
    """One update of the parameters of LeNet-5."""
    def make() -> Work:
        from tinygradconv.models import lenet5
        from tinygradconv.train import optim
        parameters = lenet5.build((28, 28, 1), seed=0).parameters
        optimizer = getattr(optim, kind)(parameters)
        gradients = {name: constant(value.shape) for name, value in optimizer.parameters.items()}
        return Work(lambda: optimizer.update(gradients, 1e-9))
    return make


def _batch() -> Work:
    """A batch of a loader, as LeNet-5 learns from it: bytes distorted and normalised."""
    from tinygradconv.data.augment import Distort, Normalize
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
    distort, normalize = Distort(0.15, 0.1, 0.1, 1.0), Normalize((33.0,), (79.0,))
    return Work(lambda: normalize(distort(images, key=0, step=0)))


WORKS |= {
    "data distort, normalize: batch": _batch,
    "dispatch tanh: unrecorded": _unrecorded,
    "block conv, norm, relu, pool: step": _block,
    "train lenet5: step": _step("lenet5", (8, 28, 28, 1), 10),
    "train lenet5: inference": _inference,
    "train resnet20: step": _step("resnet20", (1, 16, 16, 3), 10),
    "update lenet5: SGD": _update("SGD"),
    "update lenet5: Adam": _update("Adam"),
}
