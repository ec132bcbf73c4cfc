"""Schedules by hand, and beside torch.optim.lr_scheduler."""
from __future__ import annotations

import math

import pytest

from tinygradconv.train.schedule import constant, cosine, drops


def test_schedules_by_hand():
    assert [constant(0.5)(t) for t in (0, 9)] == [0.5, 0.5]
    rate = cosine(1.0, 10, warm_up=2)
    assert [rate(t) for t in (0, 1, 2, 6, 10, 99)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0, 0.0], abs=1e-15)
    assert cosine(1.0, 4, floor=0.2)(1) == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi / 4)))
    assert [drops(1.0, [3, 5])(t) for t in (2, 3, 5)] == pytest.approx([1.0, 0.1, 0.01])
    for wrong in (lambda: constant(0), lambda: constant(math.nan), lambda: cosine(1, 0), lambda: cosine(1, 5, warm_up=5),
                  lambda: cosine(1, 5, floor=2), lambda: drops(1, [5, 3])):
        with pytest.raises(ValueError, match="constant|cosine|drops"):
            wrong()


def test_the_cosine_schedule_is_torchs():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    oracle, rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.01), cosine(0.3, 50, floor=0.01)
    for step in range(51):
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        oracle.step()
