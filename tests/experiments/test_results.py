"""What logs tell, and the verdicts on it: made-up logs, among them such as must be judged outside."""
from __future__ import annotations

import math

import pytest

from tinygradconv import experiments
from tinygradconv.experiments.description import Expectation
from tinygradconv.experiments.judge import INSIDE, OUTSIDE, UNKNOWN, judge
from tinygradconv.experiments.results import Results, Unfinished, error, of_log, ratio, train_error, worse_by


def rows(*errors: float, train: float | None = None) -> list[dict[str, str]]:
    """A log of so many epochs of ten steps, with these test errors; of the training images `train` % were wrong in every epoch."""
    learnt = "" if train is None else str(100 - train)
    return [{"epoch": str(epoch), "step": str(10 * epoch), "rate": "0.1", "loss": "1", "train_accuracy": learnt,
             "accuracy": str(100 - one), "seconds": str(2.5 * epoch)} for epoch, one in enumerate(errors, 1)]


def results(epochs: int = 2, **errors: float) -> Results:
    """A finished run for each key, with this last test error; the training error is half of it."""
    return Results({key: of_log(rows(50.0, one, train=one / 2), epochs) for key, one in errors.items()})


def verdict(expectation: Expectation, got: Results) -> tuple[str, float | None]:
    (only,) = judge([expectation], got)
    return only.word, only.got


def expects(measure, low=0.65, high=1.25) -> Expectation:
    return Expectation("an error", measure, low, high, "0.95 %", "a paper")


def test_a_log_tells_errors_and_seconds_of_every_epoch():
    run = of_log(rows(20.0, 10.5), 2)
    assert [(p.epoch, p.error, p.seconds) for p in run.points] == [(1, 20.0, 2.5), (2, 10.5, 5.0)]
    assert run.finished and run.error == 10.5 and run.seconds == 5.0
    assert not of_log(rows(20.0), 2).finished and not of_log([], 2).finished


def test_rows_within_an_epoch_count_for_its_training_error_by_their_steps():
    """100 steps of which 50 % of the images were right, then 20 of which all were: (100·50 + 20·0) / 120 % wrong."""
    inner = {"epoch": "0", "step": "100", "train_accuracy": "50", "accuracy": "", "seconds": "1"}
    last = {"epoch": "1", "step": "120", "train_accuracy": "100", "accuracy": "90", "seconds": "2"}
    assert of_log([inner, last], 1).train_error == pytest.approx(100 * 50 / 120)


def test_a_log_without_training_accuracy_has_no_training_error():
    run = of_log(rows(20.0, 10.0), 2)
    assert run.points[0].train_error is None
    with pytest.raises(Unfinished):
        train_error("a")(Results({"a": run}))


def test_measures_are_means_and_differences():
    got = results(a=8.0, b=10.0, c=3.0)
    assert error("a", "b")(got) == 9.0 and train_error("a", "b")(got) == 4.5
    assert worse_by(error("b"), error("c"))(got) == 7.0 and worse_by(error("c"), error("b"))(got) == -7.0
    assert ratio("x", "y")(Results({}, {"x": 3, "y": 4})) == 0.75


@pytest.mark.parametrize(("got", "word"), [(0.95, INSIDE), (0.66, INSIDE), (1.24, INSIDE), (0.65, OUTSIDE), (1.25, OUTSIDE), (0.2, OUTSIDE),
                                           (1.9, OUTSIDE), (90.0, OUTSIDE)])
def test_a_number_is_inside_an_open_interval_or_outside(got, word):
    assert verdict(expects(error("a")), results(a=got)) == (word, got)


def test_equal_networks_are_not_worse_than_each_other():
    worse = expects(worse_by(error("deep"), error("shallow")), 0, math.inf)
    assert verdict(worse, results(deep=10.0, shallow=10.0))[0] == OUTSIDE
    assert verdict(worse, results(deep=10.01, shallow=10.0))[0] == INSIDE
    assert verdict(worse, results(deep=9.0, shallow=10.0))[0] == OUTSIDE


def test_what_is_not_finite_is_outside_and_what_is_not_there_is_not_known():
    assert verdict(expects(lambda _: math.nan), Results({}))[0] == OUTSIDE
    assert verdict(expects(lambda _: math.inf, 0, math.inf), Results({}))[0] == OUTSIDE
    unfinished = Results({"a": of_log(rows(1.0), 2)})
    for got, key in ((unfinished, "a"), (Results({}), "a"), (results(a=1.0), "b")):
        assert verdict(expects(error(key)), got) == (UNKNOWN, None)
    assert verdict(expects(ratio("x", "y")), Results({}, {"x": 1})) == (UNKNOWN, None)


@pytest.mark.parametrize(("errors", "words"), [
    ({"plain20": 20.0, "plain56": 30.0, "resnet20": 19.0, "resnet56": 17.0}, [INSIDE] * 4),
    ({"plain20": 20.0, "plain56": 18.0, "resnet20": 19.0, "resnet56": 17.0}, [OUTSIDE, OUTSIDE, INSIDE, INSIDE]),
    ({"plain20": 20.0, "plain56": 30.0, "resnet20": 19.0, "resnet56": 31.0}, [INSIDE, INSIDE, OUTSIDE, OUTSIDE])])
def test_degradation_is_judged_by_the_order(errors, words):
    form = experiments.get("degradation").form("small")
    epochs = form.nets[0].recipe.epochs
    got = Results({key: of_log(rows(*[50.0] * (epochs - 1), one, train=one / 2), epochs) for key, one in errors.items()})
    assert [one.word for one in judge(form.expectations, got)] == words


def test_what_table_6_prints_is_inside_and_what_is_far_from_it_outside():
    form = experiments.get("degradation").form("full")
    published = {"resnet20": 8.75, "resnet32": 7.51, "resnet44": 7.17, "resnet56": 6.97, "resnet110": 6.43, "plain20": 9.0, "plain56": 13.0}
    for shift, word in ((0.0, INSIDE), (1.0, OUTSIDE), (-1.0, OUTSIDE)):
        runs = {net.key: of_log(rows(*[50.0] * (net.recipe.epochs - 1), published[net.key] + shift, train=published[net.key]),
                                net.recipe.epochs) for net in form.nets}
        assert {one.word for one in judge(form.expectations, Results(runs))[:5]} == {word}
