"""One step of an optimiser, in place: stochastic gradient descent with momentum, and Adam."""
from __future__ import annotations

import numpy as np


def sgd(g, velocity, p, rate, momentum, decay, nesterov):
    """d = g + decay · p;  velocity = momentum · velocity + d;  p −= rate · (d + momentum · velocity  if nesterov, else velocity).

    PyTorch's convention, with a velocity that starts at 0 (Sutskever et al. 2013 for the Nesterov form). With momentum 0 the
    step is rate · d, and velocity is left alone.

    g, p      one axis; p changed in place
    velocity  as p, changed in place; may have no elements where momentum is 0
    """
    d = g + p.dtype.type(decay) * p
    if momentum:
        velocity *= p.dtype.type(momentum)
        velocity += d
        d = d + p.dtype.type(momentum) * velocity if nesterov else velocity
    p -= p.dtype.type(rate) * d


def adam(g, first, second, p, rate, beta1, beta2, epsilon, decay, step, decoupled):
    """first = β₁·first + (1 − β₁)·d;  second = β₂·second + (1 − β₂)·d²;  p −= rate · (first / b₁) / (√(second / b₂) + epsilon).

    bᵢ = 1 − βᵢ^step takes out the moments' start at 0 (Kingma and Ba 2015). `decay` is added to the gradient, d = g + decay·p,
    or with `decoupled` p is first multiplied by 1 − rate·decay and d = g (AdamW, Loshchilov and Hutter 2019).

    g                 one axis
    first, second, p  the same size, changed in place
    step              counts from 1
    """
    number = p.dtype.type
    if decoupled:
        p *= number(1 - rate * decay)
        d = g
    else:
        d = g + number(decay) * p
    first *= number(beta1)
    first += number(1 - beta1) * d
    second *= number(beta2)
    second += number(1 - beta2) * d * d
    root = np.sqrt(second) / number(np.sqrt(1 - beta2 ** step)) + number(epsilon)
    p -= number(rate / (1 - beta1 ** step)) * first / root
