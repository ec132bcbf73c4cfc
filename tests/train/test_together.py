"""Several ranks that cut their rows into parts, as threads of this process; what MPI adds is in tests/parallel."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.parallel.threads import together
from tests.train import toy
from tinygradconv.train import Callback, train
from tinygradconv.train.weights import weights_of


def trained(recipe):
    """For each of two ranks: the sum of the losses, weights and buffers after a training."""
    def work(group):
        model = toy.SPEC.build((7, 7, 1), seed=5)
        at = train(model, toy.data(), recipe, seed=5, callbacks=(), workers=group, loader_workers=0)
        return at.loss_sum, {path: np.array(a) for path, a in weights_of(model).items()}
    return together(2, work)


@pytest.mark.parametrize("sync", [False, True], ids=["each its own statistics", "the whole batch's"])
def test_there_are_no_parts_without_rows(sync):
    # Of a batch of 8 each rank has four rows, so there can be four parts; with eight the running statistics were once those of nothing.
    most, more = (trained(replace(toy.RECIPE, accumulate=parts, sync_batch_norm=sync)) for parts in (4, 8))
    for (most_loss, most_weights), (more_loss, more_weights) in zip(most, more, strict=True):
        # The epoch's last batch of 4 is cut into two parts by both.
        assert more_loss == most_loss
        assert all(np.array_equal(more_weights[path], array) for path, array in most_weights.items())
        assert all((array > 0).all() for path, array in more_weights.items() if path.endswith("running_var"))


def test_weights_that_drift_apart_end_the_training():
    def work(group):
        model = toy.SPEC.build((7, 7, 1), seed=5)

        class Drifting(Callback):
            def step(self, training, loss, images, correct):
                next(iter(model.parameters.values())).data[...] += 1e-3
        # Rank 0 alone tells its callbacks.
        train(model, toy.data(), replace(toy.RECIPE, epochs=1), seed=5, callbacks=[Drifting()], workers=group, loader_workers=0)
    with pytest.raises(RuntimeError, match=r"^after epoch 1 the weights of rank 1 are not those of rank 0\. "):
        together(2, work)
