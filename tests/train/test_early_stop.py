"""Stopping early, by hand."""
from __future__ import annotations

import json
import math

import pytest

from tinygradconv.train.early_stop import EarlyStop


@pytest.mark.parametrize(("options", "values", "stops"), [
    ({}, [1, 2, 2, 2], [False, False, False, True]),
    ({}, [1, 0, 2, 1, 3], [False] * 5),
    ({"lower": True}, [5, 4, 4.5, 3, 3, 3], [False, False, False, False, False, True]),
    ({"min_delta": 0.5}, [1, 1.5, 1.25, 9], [False, False, True, False]),
    ({"min_delta": 0.5, "lower": True}, [3, 2.25, 2.0, 1.5], [False, False, False, False]),
    ({}, [math.nan, math.nan], [False, True]),
    ({}, [math.nan, -7, math.nan, math.nan], [False, False, False, True]),
])
def test_two_judgements_of_patience(options, values, stops):
    stop = EarlyStop(2, **options)
    assert [stop.judge(value) for value in values] == stops


def test_a_restored_one_goes_on():
    whole, parted = EarlyStop(3, min_delta=0.125), EarlyStop(3, min_delta=0.125)
    for value in (math.nan, 1.0, 1.0625, 1.25, 0.0, 1.3125, 1.375):
        kept = json.loads(json.dumps(parted.state(), allow_nan=False))
        parted = EarlyStop(3, min_delta=0.125)
        parted.restore(kept)
        assert parted.judge(value) == whole.judge(value)
    assert parted.state() == whole.state() == {"best": 1.25, "waited": 3}


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"^EarlyStop: patience must be at least 1, got 0$"):
        EarlyStop(0)
    with pytest.raises(ValueError, match=r"^EarlyStop: min_delta must be at least 0, got -1$"):
        EarlyStop(1, min_delta=-1)
    with pytest.raises(ValueError, match=r"^EarlyStop: a state has best and waited, got waited$"):
        EarlyStop(1).restore({"waited": 2})
