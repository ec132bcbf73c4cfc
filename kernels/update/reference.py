"""One step of an optimiser, in place, on all parameters at once: stochastic gradient descent with momentum, and Adam."""
from __future__ import annotations

import numpy as np


def sgd(g, velocity, p, rate, momentum, decay, nesterov):
    """d = g + decay · p;  velocity = momentum · velocity + d;  p −= rate · (d + momentum · velocity  if nesterov, else velocity).

    PyTorch's convention, with a velocity that starts at 0 (Sutskever et al. 2013 for the Nesterov form). With momentum 0 the
    step is rate · d, and velocity is left alone.

    g, p      tuples of arrays of one dtype, one of each per parameter, of the same size; those of p changed in place
    velocity  as p, changed in place; may be () where momentum is 0
    """
    for i in range(len(p)):
        number = p[i].dtype.type
        d = g[i] + number(decay) * p[i]
        if momentum:
            velocity[i][...] = number(momentum) * velocity[i] + d
            d = d + number(momentum) * velocity[i] if nesterov else velocity[i]
        p[i][...] -= number(rate) * d


def adam(g, first, second, p, rate, beta1, beta2, epsilon, decay, step, decoupled):
    """first = β₁·first + (1 − β₁)·d;  second = β₂·second + (1 − β₂)·d²;  p −= rate · (first / b₁) / (√(second / b₂) + epsilon).

    bᵢ = 1 − βᵢ^step takes out the moments' start at 0 (Kingma and Ba 2015). `decay` is added to the gradient, d = g + decay·p,
    or with `decoupled` p is first multiplied by 1 − rate·decay and d = g (AdamW, Loshchilov and Hutter 2019).

    g                 a tuple of arrays of one dtype, one per parameter
    first, second, p  as g and of the same sizes, changed in place
    step              counts from 1
    """
    for i in range(len(p)):
        number = p[i].dtype.type
        if decoupled:
            p[i][...] *= number(1 - rate * decay)
        d = g[i] if decoupled else g[i] + number(decay) * p[i]
        first[i][...] = number(beta1) * first[i] + number(1 - beta1) * d
        second[i][...] = number(beta2) * second[i] + number(1 - beta2) * d * d
        root = np.sqrt(second[i]) / number(np.sqrt(1 - beta2 ** step)) + number(epsilon)
        p[i][...] -= number(rate / (1 - beta1 ** step)) * first[i] / root
