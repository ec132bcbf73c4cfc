"""Matrix products of the dense layers, (images × features) times (features × outputs)."""
from __future__ import annotations

import tinygradconv as tgc

from .common import DEVICES, Benchmark, constant, variable

DENSE = {                                    # (images, features, outputs)
    "lenet_f6":       (64, 120, 84),
    "lenet_c5":       (64, 400, 120),
    "resnet20_head":  (128, 64, 10),
    "resnet18_head":  (8, 512, 1000),
    "square_1024":    (64, 1024, 1024),
}


class Matmul(Benchmark):
    """a @ b, and the gradients of both."""

    params = [DEVICES, list(DENSE)]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """One matrix of each kind."""
        images, features, outputs = DENSE[layer]
        self.a, self.b = constant((images, features), device), constant((features, outputs), device, seed=1)
        self.a_leaf, self.b_leaf = variable((images, features), device), variable((features, outputs), device, seed=1)
        self.y_of_a, self.y_of_b = tgc.matmul(self.a_leaf, self.b), tgc.matmul(self.a, self.b_leaf)
        self.g = constant((images, outputs), device, seed=2)

    def time_forward(self, device: str, layer: str) -> None:
        """a @ b."""
        tgc.matmul(self.a, self.b)

    def time_grad_input(self, device: str, layer: str) -> None:
        """g @ bᵀ."""
        tgc.grad(self.y_of_a, self.a_leaf, self.g)

    def time_grad_weight(self, device: str, layer: str) -> None:
        """aᵀ @ g."""
        tgc.grad(self.y_of_b, self.b_leaf, self.g)


class Dense(Benchmark):
    """act(x @ w + bias) in one op: inference with weights that stay packed, and forward and backward."""

    params = [DEVICES, list(DENSE)]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """One batch and one layer, constants and leaves."""
        images, features, outputs = DENSE[layer]
        shapes = (images, features), (features, outputs), (outputs,)
        self.constants = [constant(shape, device, seed=i) for i, shape in enumerate(shapes)]
        self.leaves = [variable(shape, device, seed=i) for i, shape in enumerate(shapes)]
        self.g = constant((images, outputs), device, seed=3)

    def time_inference(self, device: str, layer: str) -> None:
        """The weights have been packed by an earlier call."""
        tgc.dense(*self.constants, activation="relu")

    def time_forward_backward(self, device: str, layer: str) -> None:
        """The layer and all its gradients; the weights are packed each time."""
        tgc.grad(tgc.dense(*self.leaves, activation="relu"), self.leaves, self.g)


class BatchedMatmul(Benchmark):
    """Many small products at once."""

    params = [DEVICES]
    param_names = ["device"]

    def prepare(self, device: str) -> None:
        """64 products of 32×32 matrices."""
        self.a, self.b = constant((64, 32, 32), device), constant((64, 32, 32), device, seed=1)

    def time_forward(self, device: str) -> None:
        """a @ b for each pair."""
        tgc.matmul(self.a, self.b)

    def time_einsum(self, device: str) -> None:
        """The same by index letters."""
        tgc.einsum("bij,bjk->bik", self.a, self.b)
