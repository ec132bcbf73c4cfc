"""Sums of numbers and of their squares from which a variance is made, without losing a digit however far the numbers are from zero.

They are sums of differences from a number that is near, Σ(x − a) and Σ(x − a)², in float64. Parts that were measured from different
numbers are added once all are seen from one.
"""
from __future__ import annotations

from .language import device, float64


@device
def centre(value):
    """What numbers are measured from: the first of them, if that is a number, else 0."""
    nothing = value - value                                                # NaN, if the value is infinite
    return float64(value) if nothing == nothing else float64(0)


@device
def seen_from(total, squares, count, away):
    """(Σ(x − a), Σ(x − a)²) of `count` numbers, of `total` Σ(x − b) and `squares` Σ(x − b)², where b is `away` from a: away = b − a."""
    return total + count * away, squares + away * (2 * total + count * away)
