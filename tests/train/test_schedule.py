"""Schedules by hand, and beside torch.optim.lr_scheduler."""
from __future__ import annotations

import math
import re

import pytest

from tinygradconv.train.schedule import constant, cosine, drops, linear, one_cycle, polynomial, sequence, steps, warm_up


def test_schedules_by_hand():
    assert [constant(0.5)(t) for t in (0, 9)] == [0.5, 0.5]
    rate = cosine(1.0, 10, warm_up=2)
    assert [rate(t) for t in (0, 1, 2, 6, 10, 99)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0, 0.0], abs=1e-15)
    assert cosine(1.0, 4, floor=0.2)(1) == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi / 4)))
    assert [drops(1.0, [3, 5])(t) for t in (2, 3, 5)] == pytest.approx([1.0, 0.1, 0.01])
    assert [steps(1.0, 3, 0.5)(t) for t in (0, 2, 3, 5, 6)] == [1, 1, 0.5, 0.5, 0.25]
    assert [polynomial(1.0, 4, power=2, floor=0.5)(t) for t in (0, 2, 4, 9)] == [1, 0.625, 0.5, 0.5]
    assert [linear(0.0, 1.0, 4)(t) for t in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert [one_cycle(1.0, 11, rise=0.5, start=0.0, end=0.5, straight=True)(t) for t in (0, 10, 99)] == [0, 0.5, 0.5]
    assert [sequence([constant(1.0), linear(4.0, 2.0, 2), constant(9.0)], [2, 5])(t) for t in range(7)] == [1, 1, 4, 3, 2, 9, 9]
    assert [warm_up(steps(1.0, 2, 0.5), 2, start=0.5)(t) for t in range(6)] == [0.5, 0.75, 1, 1, 0.5, 0.5]


ORACLES = {
    "constant": (constant(0.3), lambda s, o: s.ConstantLR(o, factor=1.0)),
    "steps": (steps(0.3, 7, 0.5), lambda s, o: s.StepLR(o, 7, 0.5)),
    "drops": (drops(0.3, [10, 11, 40], 0.2), lambda s, o: s.MultiStepLR(o, [10, 11, 40], 0.2)),
    "polynomial": (polynomial(0.3, 60), lambda s, o: s.PolynomialLR(o, 60)),
    "polynomial's power": (polynomial(0.3, 90, power=2.5), lambda s, o: s.PolynomialLR(o, 90, 2.5)),
    "linear": (linear(0.03, 0.3, 20), lambda s, o: s.LinearLR(o, 0.1, 1.0, 20)),
    "one_cycle": (one_cycle(0.3, 101), lambda s, o: s.OneCycleLR(o, 0.3, 101, cycle_momentum=False)),
    "one_cycle's options": (one_cycle(0.3, 101, rise=0.15, start=0.1, end=1e-3, straight=True),
                            lambda s, o: s.OneCycleLR(o, 0.3, 101, pct_start=0.15, anneal_strategy="linear", div_factor=10,
                                                      final_div_factor=100, cycle_momentum=False)),
    "warm_up": (warm_up(cosine(0.3, 80, floor=0.01), 20),
                lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 20), s.CosineAnnealingLR(o, 80, 0.01)], [20])),
    "warmed drops": (warm_up(drops(0.3, [30, 50]), 9, start=0.5),
                     lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.5, 1.0, 9), s.MultiStepLR(o, [30, 50])], [9])),
    "sequence": (sequence([constant(0.3), polynomial(0.3, 20), steps(0.3, 5)], [10, 40]),
                 lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 1.0), s.PolynomialLR(o, 20), s.StepLR(o, 5)], [10, 40])),
}


@pytest.mark.parametrize(("rate", "make"), ORACLES.values(), ids=ORACLES)
@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")            # torch's SequentialLR warns of its own call
def test_a_hundred_steps_are_torchs(rate, make):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    oracle = make(torch.optim.lr_scheduler, optimizer)
    theirs = []
    for _ in range(100):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        oracle.step()
    assert [rate(t) for t in range(100)] == pytest.approx(theirs, rel=1e-9)
    assert [rate(t) for t in reversed(range(100))] == [rate(t) for t in range(100)][::-1]                   # nothing is remembered


def test_the_cosine_schedule_is_torchs():
    """Up to its end, from where torch's rises again."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    oracle, rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.01), cosine(0.3, 50, floor=0.01)
    for step in range(51):
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        oracle.step()


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda: constant(0), "constant: rate must be above 0, got 0"),
    (lambda: constant(math.nan), "constant: rate must be finite, got nan"),
    (lambda: steps(0.1, 0), "steps: every must be at least 1, got 0"),
    (lambda: steps(0.1, 5, -1), "steps: factor must be above 0, got -1"),
    (lambda: drops(1, [5, 3]), "drops: milestones must rise and factor be above 0, got (5, 3) and 0.1"),
    (lambda: cosine(1, 5, warm_up=5), "cosine: needs 0 ≤ warm_up < steps and 0 ≤ floor ≤ rate, got steps 5, warm_up 5, floor 0.0, rate 1"),
    (lambda: cosine(1, 5, floor=2), "cosine: needs 0 ≤ warm_up < steps and 0 ≤ floor ≤ rate, got steps 5, warm_up 0, floor 2, rate 1"),
    (lambda: polynomial(0.1, 5, power=0), "polynomial: power must be above 0, got 0"),
    (lambda: polynomial(0.1, 5, floor=0.2), "polynomial: floor must be at least 0 and at most 0.1, got 0.2"),
    (lambda: linear(-1, 2, 5), "linear: start must be at least 0, got -1"),
    (lambda: one_cycle(0.1, 100, rise=1), "one_cycle: rise must be above 0 and below 1, got 1"),
    (lambda: one_cycle(0.1, 3), "one_cycle: the top, step rise · steps − 1 = -0.1, must be after step 0 and before the last, 2. "
                                "Give more steps or another rise"),
    (lambda: sequence([constant(1)], [3]), "sequence: needs one milestone between every two schedules, got 1 schedules and 1 milestones"),
    (lambda: sequence([constant(1)] * 3, [3, 3]), "sequence: milestones must rise, got (3, 3)"),
    (lambda: warm_up(constant(1), 0), "warm_up: steps must be at least 1, got 0"),
    (lambda: warm_up(constant(1), 3, start=2), "warm_up: start must be at least 0 and at most 1, got 2"),
])
def test_wrong_numbers_are_named(wrong, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        wrong()


def test_a_number_is_no_schedule():
    for wrong in (lambda: warm_up(0.1, 5), lambda: sequence([0.1, constant(1)], [5])):
        with pytest.raises(TypeError, match=r"a schedule is a function of the step, got 0\.1 of type float"):
            wrong()
