"""The optimisers' updates, in place, of all parameters of a network."""
from __future__ import annotations

from tinygradconv.train.optim import SGD, Adam

from .common import DEVICES, Benchmark, constant, variable

# The shapes of the parameters, and how many there are of each.
PARAMETERS = {
    "lenet5": [(5, 5, 1, 6), (6,), (5, 5, 6, 16), (16,), (400, 120), (120,), (120, 84), (84,), (84, 10), (10,)],
    "resnet20": [(3, 3, 3, 16), *[(3, 3, 16, 16)] * 6, *[(16,)] * 14, (3, 3, 16, 32), *[(3, 3, 32, 32)] * 5, *[(32,)] * 12,
                 (3, 3, 32, 64), *[(3, 3, 64, 64)] * 5, *[(64,)] * 12, (64, 10), (10,)],
}
OPTIMIZERS = {
    "sgd": lambda parameters: SGD(parameters),
    "momentum": lambda parameters: SGD(parameters, momentum=0.9, decay=1e-4),
    "adam": lambda parameters: Adam(parameters),
}


class Update(Benchmark):
    """One update; the rate is so small that the values stay what they are."""

    params = [DEVICES, list(PARAMETERS), list(OPTIMIZERS)]
    param_names = ["device", "network", "optimizer"]

    def prepare(self, device: str, network: str, optimizer: str) -> None:
        """Parameters and gradients of the network's shapes."""
        shapes = PARAMETERS[network]
        self.optimizer = OPTIMIZERS[optimizer]({str(i): variable(shape, device, seed=i) for i, shape in enumerate(shapes)})
        self.gradients = {str(i): constant(shape, device, seed=1000 + i) for i, shape in enumerate(shapes)}

    def time_update(self, device: str, network: str, optimizer: str) -> None:
        """All parameters, once."""
        self.optimizer.update(self.gradients, 1e-9)
