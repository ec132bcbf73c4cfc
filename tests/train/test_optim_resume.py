"""Every optimiser in a run that stops and goes on from its snapshot: the same bits as one that did not stop."""
from __future__ import annotations

import numpy as np
import pytest

from tests.train import toy
from tests.train.test_optim import EVERY
from tinygradconv.train.loop import Training
from tinygradconv.train.snapshot import Run


def begun(kind, options) -> Training:
    """The toy's training, with this optimiser."""
    training = Training(toy.SPEC.build((7, 7, 1), seed=5), toy.data(), toy.RECIPE, 5)
    known = {**options, "exclude": "*.bias"} if "exclude" in options else options
    training.optimizer = kind(training.model.parameters, **known)
    return training


def go_on(training: Training, steps: int) -> None:
    """So many steps of the run, as the loop takes them, but for the tests at the ends of epochs."""
    at, end = training.position, training.position.step + steps
    while at.step < end:
        for x, labels in training.batches():
            training.step(x, labels)
            if at.step == end:
                break
        if at.batch == len(training.loader):
            at.epoch, at.batch = at.epoch + 1, 0


@pytest.mark.parametrize(("kind", "options"), EVERY.values(), ids=EVERY)
def test_saved_and_resumed_the_end_is_the_same_bits(tmp_path, kind, options):
    whole = begun(kind, options)
    go_on(whole, 7)
    parted = begun(kind, options)
    go_on(parted, 3)
    run = Run.create(tmp_path / "run", {"seed": 5})
    run.save(parted.state())
    run.close()
    resumed = begun(kind, options)
    state, problems = Run.open(tmp_path / "run").load()
    resumed.restore(state)
    assert not problems and resumed.optimizer.steps == 3
    assert any(np.any(array) for name, array in state.optimizer.items() if name != "steps")
    go_on(resumed, 4)
    ends = [{**t.weights(), **t.optimizer.state()} for t in (whole, resumed)]
    assert ends[0].keys() == ends[1].keys() and all(ends[0][name].tobytes() == ends[1][name].tobytes() for name in ends[0])
