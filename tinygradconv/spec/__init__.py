"""The model-builder DSL: a network is a value, and everything that can be said of it is worked out from that value.

    lenet5 = (Conv(6, 5, padding=2) >> Tanh() >> AvgPool(2)
              >> Conv(16, 5) >> Tanh() >> AvgPool(2) >> Flatten()
              >> Dense(120) >> Tanh() >> Dense(84) >> Tanh() >> Dense(10))

    print(lenet5.table((28, 28, 1)))            # shapes, parameters, MACs, memory
    model = lenet5.build((28, 28, 1), seed=0)   # weights
"""
from .base import Spec
from .build import Model
from .combine import Aux, Chain, Scope, Share
from .infer import Flow, Network, Step
from .initial import (
    Constant,
    FanIn,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initialiser,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Uniform,
)
from .join import Concat, Residual, Sum
from .layers import *  # noqa: F403
from .layers import __all__ as _layers
from .table import Row, Table

__all__ = [*_layers, "Aux", "Chain", "Concat", "Constant", "FanIn", "Flow", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform",
           "Initialiser", "LeCunNormal", "LeCunUniform", "Model", "Network", "Normal", "Residual", "Row", "Scope", "Share", "Spec", "Step",
           "Sum", "Table", "Uniform"]
