"""What the tests of augmentations share."""
from __future__ import annotations

import numpy as np


def likely(counts: np.ndarray) -> bool:
    """Whether counts of outcomes that should be equally likely are: chi-squared, made normal by its cube root, below four deviations."""
    expected = counts.sum() / counts.size
    assert expected >= 5, "too few for chi-squared"
    each = 2 / (9 * (counts.size - 1))                                       # Wilson and Hilferty 1931
    return (((counts - expected) ** 2 / expected).sum() / (counts.size - 1)) ** (1 / 3) < 1 - each + 4 * np.sqrt(each)


def evenly(values: np.ndarray, low: float, high: float, bins: int = 20) -> bool:
    """Whether values are spread evenly over low … high, and none is outside."""
    return bool((values >= low).all() and (values <= high).all()) and likely(np.histogram(values, bins, (low, high))[0])
