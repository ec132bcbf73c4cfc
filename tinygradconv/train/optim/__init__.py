"""Optimisers: how gradients change parameters. One `update` per step, in place.

Parameters are a dict of tensors by path. What an optimiser remembers between steps is a dict of arrays, `state()`, which a
snapshot keeps and `restore()` takes back.

    SGD        the gradient, its running sum (momentum), or a look ahead along that (Nesterov)
    RMSprop    the gradient over the root of its running mean square
    Adam       the running mean of the gradient over that root;  AdamW: with weight decay beside it
    LARS       momentum with a rate for every layer, after the ratio of the norms of its weights and gradient
    Muon       momentum made orthogonal, for matrices and convolutions;  AdamW for the rest

In the formulas g is the gradient of a parameter p, rate is given to every `update`, and decay · p is weight decay. `exclude` are
patterns of paths (fnmatch: "*.bias", "bn*") whose parameters are not decayed.
"""
from .adam import Adam, AdamW
from .base import Optimizer, match_arrays
from .lars import LARS
from .muon import Muon
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["LARS", "SGD", "Adam", "AdamW", "Muon", "Optimizer", "RMSprop", "match_arrays"]
