"""Whether what was got agrees with what was published."""
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .description import Expectation
from .results import Results, Unfinished

INSIDE, OUTSIDE, UNKNOWN = "inside", "outside", "not known"


@dataclass(frozen=True)
class Verdict:
    """An expectation, the number that was got (None: not yet), and the word: inside, outside, not known."""

    expectation: Expectation
    got: float | None
    word: str


def judge(expectations: Iterable[Expectation], results: Results) -> list[Verdict]:
    """A verdict for each expectation: inside where low < number < high. A number that is NaN is outside."""
    verdicts = []
    for expectation in expectations:
        try:
            got = expectation.measure(results)
        except Unfinished:
            verdicts.append(Verdict(expectation, None, UNKNOWN))
            continue
        agrees = math.isfinite(got) and expectation.low < got < expectation.high
        verdicts.append(Verdict(expectation, got, INSIDE if agrees else OUTSIDE))
    return verdicts
