"""The optimisers' updates, in place, of all parameters of a network; and what is done to gradients and weights around them."""
from __future__ import annotations

import types

from tinygradconv.train.clip import clip_by_global_norm
from tinygradconv.train.ema import EMA
from tinygradconv.train.optim import LARS, SGD, Adam, AdamW, Muon, RMSprop

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
    "adamw": lambda parameters: AdamW(parameters),
    "rmsprop": lambda parameters: RMSprop(parameters),
    "lars": lambda parameters: LARS(parameters, decay=1e-4),
    "muon": lambda parameters: Muon(parameters),
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


class Around(Benchmark):
    """Clipping of a step's gradients, and the running mean of the weights."""

    params = [DEVICES, list(PARAMETERS)]
    param_names = ["device", "network"]

    def prepare(self, device: str, network: str) -> None:
        """Parameters and gradients of the network's shapes."""
        shapes = PARAMETERS[network]
        parameters = {str(i): variable(shape, device, seed=i) for i, shape in enumerate(shapes)}
        self.ema = EMA(types.SimpleNamespace(parameters=parameters, buffers={}))
        self.ema.update()                                      # the first only copies
        self.gradients = {str(i): constant(shape, device, seed=1000 + i) for i, shape in enumerate(shapes)}

    def time_clip(self, device: str, network: str) -> None:
        """The norm of all gradients, and all of them scaled."""
        clip_by_global_norm(self.gradients, 1e-3)

    def time_ema(self, device: str, network: str) -> None:
        """All averages, once."""
        self.ema.update()
