"""Learning side by side: turns, tables and ratios on made-up sides; and, with PyTorch, that both learn the same. Nothing is timed here."""
from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

import tinygradconv as tgc
from benchmarks.peers.learning import __main__ as command
from benchmarks.peers.learning import sides, table, turns
from benchmarks.peers.learning.case import CASES, Case, Progress, Seen
from benchmarks.peers.work import OURS, Options, WrongResultError
from tinygradconv.data import Loader
from tinygradconv.train.recipe import Recipe

CASE = Case("lenet5", "mnist", "fast", every=4, turn=3, target=99.0)


def progress(seconds: float, *accuracies: float) -> Progress:
    """Ten steps and so many seconds before each test."""
    tests = [Seen(10 * i, seconds * i, accuracy) for i, accuracy in enumerate(accuracies, 1)]
    return Progress(seconds * len(tests), 10 * len(tests), tests)


def test_the_time_to_a_target_is_that_of_the_first_test_that_reaches_it():
    at = progress(2.0, 98.0, 99.0, 98.9, 99.2)
    assert at.reached(99.0) == Seen(20, 4.0, 99.0) and at.reached(99.1) == Seen(40, 8.0, 99.2) and at.reached(99.3) is None


def test_the_table_has_times_steps_accuracies_and_ratios():
    text = table.table(CASE, {OURS: progress(1.0, 98.0, 99.1, 99.05), "torch": progress(3.0, 98.0, 98.5, 99.0)}).splitlines()
    assert text[0].split() == ["time", "to", "99", "%", "at", "step", "last", "accuracy", "best", "training", "ms/step"]
    assert text[1].split() == [OURS, "2.00", "s", "20", "99.05", "%", "99.10", "%", "3.0", "s", "100.00"]
    assert text[2].split() == ["torch", "9.00", "s", "30", "99.00", "%", "99.00", "%", "9.0", "s", "300.00"]
    assert text[3] == "torch over ours: to 99 % × 4.50, training × 3.00"


def test_a_table_of_what_was_interrupted_compares_nothing_unequal():
    text = table.table(CASE, {OURS: progress(1.0, 98.0, 98.5), "torch": progress(3.0, 98.0)})
    assert "not reached" in text and "over ours" not in text
    assert table.table(CASE, {OURS: Progress(), "torch": Progress()}).splitlines()[1].split() == [OURS, "not", "reached", "0.0", "s"]
    without = table.table(dataclasses.replace(CASE, target=None), {OURS: progress(1.0, 90.0), "torch": progress(2.5, 90.0)})
    assert without.splitlines()[-1] == "torch over ours: training × 2.50" and "time to" not in without


def test_json_has_every_test():
    said = json.loads(json.dumps(table.as_json(CASE, {"seed": 3}, {OURS: progress(1.0, 98.0, 99.0)})))
    assert said["seed"] == 3 and said["target"] == 99.0
    assert said["sides"][OURS] == {"seconds": 2.0, "steps": 20, "seconds_to_target": 2.0, "tests": [[10, 1.0, 98.0], [20, 2.0, 99.0]]}


def test_turns_end_where_a_test_is_due_and_lose_no_batch():
    loader = SimpleNamespace(batches=lambda epoch: iter([(epoch, i) for i in range(5)]))
    taken = list(turns.turns(loader, 2, length=3, every=4))
    assert [len(batches) for batches in taken] == [3, 1, 3, 1, 2] and sum(taken, []) == [(e, i) for e in range(2) for i in range(5)]


class Made:
    """A side whose steps take `seconds` of a clock that only it moves."""

    def __init__(self, clock: list[float], seconds: float, loss: float = 2.0) -> None:
        self.clock, self.seconds, self.loss, self.seen = clock, seconds, loss, []

    def prepared(self, batch):
        self.clock[0] += 100                               # must be in no time
        return batch

    def step(self, batch):
        self.clock[0] += self.seconds
        self.seen.append(batch)
        return self.loss

    def accuracy(self, batches):
        self.clock[0] += 1000
        return float(len(self.seen))


def learnt(ours: Made, theirs: Made, clock: list[float]) -> tuple[dict[str, Progress], list[int]]:
    got, said = {OURS: Progress(), "torch": Progress()}, []
    batches = [[1, 2, 3], [4], [5, 6]]
    turns.learn({OURS: ours, "torch": theirs}, batches, [0], 6, 4, got, lambda now: said.append(now[OURS].steps), clock=lambda: clock[0],
                pause=lambda seconds: None)
    return got, said


def test_only_steps_are_timed_and_both_see_the_same_batches():
    clock = [0.0]
    ours, theirs = Made(clock, 1.0), Made(clock, 2.5)
    got, said = learnt(ours, theirs, clock)
    assert ours.seen == theirs.seen == [1, 2, 3, 4, 5, 6] and said == [4, 6]
    assert (got[OURS].seconds, got["torch"].seconds) == (6.0, 15.0)
    assert got["torch"].tests == [Seen(4, 10.0, 4.0), Seen(6, 15.0, 6.0)]


def test_sides_that_begin_differently_are_not_timed_on():
    clock = [0.0]
    with pytest.raises(WrongResultError, match="the loss of the first step of torch"):
        learnt(Made(clock, 1.0), Made(clock, 1.0, loss=2.01), clock)


def test_without_pytorch_it_says_how_to_get_it(monkeypatch, capsys):
    def missing():
        raise ImportError("the comparison needs PyTorch")
    monkeypatch.setattr(command, "the_torch", missing)
    assert command.main(["lenet5", "--quick"]) == 2
    assert "the comparison needs PyTorch" in capsys.readouterr().err


@pytest.fixture
def torch():
    """PyTorch, or the test is skipped."""
    return pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")


RECIPES = {"sgd": Recipe("sgd", 0.05, 1, 16, {"momentum": 0.9, "nesterov": True, "decay": 5e-4}, smoothing=0.1),
           "adam": Recipe("adam", 1e-3, 1, 16, {"decay": 1e-2}), "adamw": Recipe("adam", 1e-3, 1, 16, {"decay": 1e-2, "decoupled": True})}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
def test_both_learn_the_same_from_the_same_batches(torch, name, layout):
    """The losses of five steps, each after the updates before it; then as many of the test images are right."""
    case, recipe = CASES["lenet5"], RECIPES[name]
    data = command.made_up(case)
    with tgc.settings(threads=1):
        ours = sides.OurSide(case, data, recipe, seed=0)
        loader = Loader.training(data, 16, 0, recipe.augment, workers=0)
        theirs = sides.TorchSide(case, sides.torch_weights(ours.training.model), recipe, len(loader), layout)
        losses = [[side.step(side.prepared(batch)) for batch in loader.batches(0)] for side in (ours, theirs)]
        assert len(losses[0]) == 5 and np.allclose(*losses, rtol=2e-4), losses
        assert losses[0][0] != losses[0][1]
        tests = list(Loader.testing(data, workers=0).batches())
        assert ours.accuracy(tests) == theirs.accuracy([theirs.prepared(batch) for batch in tests])


@pytest.mark.parametrize(("changed", "said"), [
    ({"clip": 1.0}, "no twin is built of here: clip"), ({"accumulate": 2}, "no twin is built of here: accumulate"),
    ({"optimizer": "muon", "options": {}}, "no twin of the optimiser 'muon'"), ({"options": {"exclude": ("*.bias",)}}, "exclude")])
def test_recipes_that_have_no_twin_are_refused(torch, changed, said):
    with pytest.raises(ValueError, match=said):
        sides.torch_optimizer(dataclasses.replace(RECIPES["sgd"], **changed), [torch.nn.Parameter(torch.zeros(2))])


def test_the_form_that_is_tried_out_has_not_learnt(torch):
    """PyTorch's side begins with the weights with which ours begins, whatever was tried on others before."""
    case, recipe = CASES["lenet5"], RECIPES["sgd"]
    data = command.made_up(case)
    with tgc.settings(threads=1):
        ours, spare = (sides.OurSide(case, data, recipe, seed=0) for _ in range(2))
        batch = next(iter(Loader.training(data, 16, 0, workers=0).batches(0)))
        options = Options(threads=1, samples=1, compiles=False)
        name, side, notes = sides.best_torch(case, spare, recipe, 5, batch, options)
    assert name in ("torch", "torch channels_last") and len(notes) == 3 and side.steps == 0
    first = sides.torch_weights(ours.training.model)
    assert all(torch.equal(p, first[path]) for path, p in side.module.named_parameters())


def test_the_quick_form_runs_and_writes_json(torch, tmp_path, capsys):
    before = torch.get_num_threads()
    try:
        assert command.main(["lenet5", "--quick", "--threads", "1", "--json", str(tmp_path / "out.json")]) == 0
    finally:
        torch.set_num_threads(before)
    said = json.loads((tmp_path / "out.json").read_text())
    assert said["steps"] == 5 and [len(side["tests"]) for side in said["sides"].values()] == [1, 1]
    assert "Times are those of the steps alone" in capsys.readouterr().out


def test_ctrl_c_ends_with_the_table_so_far(torch, monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt
    monkeypatch.setattr(command, "learn", stopped)
    before = torch.get_num_threads()
    try:
        assert command.main(["lenet5", "--quick", "--threads", "1"]) == 130
    finally:
        torch.set_num_threads(before)
    assert "not reached" in capsys.readouterr().out
