"""When enough has been measured: Wald's sequential probability ratio test, on how often one side was slower."""
from __future__ import annotations

import math
from dataclasses import dataclass, field

P = 0.7                     # "slower" means: more than this share of rounds over the limit; "not slower": less than 1 − P
FALSE_ALARM = 0.01          # how often a work at the very edge of "not slower" is called slower, at most
MISS = 0.1                  # how often one at the very edge of "slower" is called not slower, at most


@dataclass
class SlowerTest:
    """Whether ratios head / base, one a round, tend to lie above 1 + limit.

    Each round counts only as above or below, so that one wild ratio weighs no more than another. A round above raises the logarithm of
    the likelihood ratio of the two hypotheses by ln(P / (1 − P)), a round below lowers it by as much; the test ends where that crosses
    ln((1 − MISS) / FALSE_ALARM) or ln(MISS / (1 − FALSE_ALARM)): six rounds in a row over the limit, or three not over. A commit against
    itself is above the limit far less often than 1 − P, and its chance of an alarm falls with the sixth power of those odds: one in ten
    rounds above makes one alarm in half a million. After `most` rounds the doubt is in favour of the commit.
    """

    limit: float
    most: int = 40
    ratios: list[float] = field(default_factory=list)

    def add(self, ratio: float) -> None:
        """One more round."""
        self.ratios.append(ratio)

    @property
    def verdict(self) -> str:
        """"slower", "not slower", or "" while neither is clear."""
        above = sum(ratio > 1 + self.limit for ratio in self.ratios)
        evidence = (2 * above - len(self.ratios)) * math.log(P / (1 - P))
        if evidence >= math.log((1 - MISS) / FALSE_ALARM):
            return "slower"
        if evidence <= math.log(MISS / (1 - FALSE_ALARM)) or len(self.ratios) >= self.most:
            return "not slower"
        return ""
