"""A training by several ranks: each has its rows of every batch, and all have the same weights, to the bit."""
from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygradconv.ops.join import concat
from tinygradconv.ops.shard import Shard, sharded
from tinygradconv.parallel import Group, check_equal, checksum
from tinygradconv.parallel.group import share_of
from tinygradconv.settings import settings
from tinygradconv.tensor import Tensor

from .accumulate import Accumulation
from .evaluate import correct_of
from .flat import cut, flattened
from .state import Snapshot
from .weights import beside_weights, weights_of

if TYPE_CHECKING:
    from .training import Training


def gradients_of(training: Training, x: np.ndarray | Tensor, labels: np.ndarray | Tensor) -> tuple[float, dict[str, Tensor]]:
    """(loss, its gradients by path) of the whole batch, of which x and labels are this rank's rows; `training.correct` counts all of it.

    Means are over the images of all ranks: a rank with n of N images has the weight n / N, and one without any computes on none, so that
    every rank calls the same sums. With the recipe's `accumulate` the rows of each rank are cut into parts, and the parts with one number
    go through the network together; there are no more of them than rank 0 has rows, so none is empty on all ranks.
    """
    group, loader, recipe = training.workers, training.loader, training.recipe
    first, _, total = loader.rows(training.position.batch)
    parts = min(-(-total // recipe.at_once), share_of(total, 0, group.size)[1])
    parameters = training.optimizer.parameters
    loss, correct, gradients = 0.0, 0, Accumulation()
    for part in range(parts):
        start, end = share_of(len(labels), part, parts)
        everyone = [share_of(total, rank, group.size) for rank in range(group.size)]
        count = sum(b - a for a, b in (share_of(last - at, part, parts) for at, last in everyone))
        share = (end - start) / count
        unasked = nullcontext() if end > start else settings(anomaly=False)               # the mean of no losses is NaN, and counts nothing
        with unasked, sharded(Shard(first + start, group if recipe.sync_batch_norm else None)):
            images, classes = (x, labels) if parts == 1 else (x[start:end], labels[start:end])
            y = training.model(beside_weights(training.model, images), train=True)
            own = training.loss(y, beside_weights(training.model, classes))
            gradients.add(dict(zip(parameters, training.buckets.grad(own, list(parameters.values()), share))), count)
        correct += correct_of((y[0] if isinstance(y, tuple) else y).numpy(), classes)
        loss += own.item() * (end - start) / total if end > start else 0.0
        if not recipe.sync_batch_norm:
            average_buffers(training.model, group, share)
    facts = np.array([loss, correct], np.float64)
    group.sum(facts)
    training.correct = int(facts[1])
    return float(facts[0]), gradients.mean()


def average_buffers(model: Any, group: Group, share: float) -> None:
    """Running statistics, each rank's of its own rows, become their mean over the ranks by their shares of the rows: the same on all."""
    if not model.buffers:
        return
    buffers, dtype, device = list(model.buffers.values()), *next((t.dtype, t.device) for t in model.buffers.values())
    flat = concat([t.reshape(-1) for t in buffers]) if device == "cpu" else flattened(buffers)
    means = flat.numpy().astype(np.float64) * share
    group.sum(means)
    model.buffers.update(zip(model.buffers, cut(Tensor.of(means.astype(dtype)).to(device), buffers)))


def counted(group: Group, found: tuple[int, int] | None) -> tuple[int, int] | None:
    """(correct, total) of all ranks, from each rank's own; None on all where it is None on one."""
    facts = np.array([0, 0, 1] if found is None else [*found, 0])
    group.sum(facts)
    return None if facts[2] else (int(facts[0]), int(facts[1]))


def check_start(training: Training) -> None:
    """ValueError where the ranks were not given the same to do, or something that several cannot do."""
    if training.workers.size == 1:
        return
    device = getattr(training.model, "device", "cpu")
    if device != "cpu" and training.workers.device != device:
        raise ValueError(f"train: the model is on {device!r}, but the {training.workers.size} ranks have no GPU each. Give them "
                         f"workers=parallel.nccl.with_gpus(group) before the model is moved, or model.to('cpu')")
    spec = getattr(training.model, "spec", None)
    check_equal(training.workers, seed=training.seed, recipe=training.recipe.to_json(), data=training.data.checksum(),
                model=None if spec is None else json.loads(spec.to_json()))


def check_weights_equal(training: Training) -> None:
    """RuntimeError where weights, running means or what the optimiser remembers are not the same on all ranks, to the bit."""
    if training.workers.size == 1:
        return
    sums = training.workers.exchange([checksum(weights_of(training.model)), checksum(training.weights()),
                                      checksum(training.optimizer.state())])
    for rank, other in enumerate(sums):
        if other != sums[0]:
            raise RuntimeError(f"after epoch {training.position.epoch} the weights of rank {rank} are not those of rank 0. The ranks must "
                               f"compute the same: are their processors of one kind, and their versions the same? The last snapshot, which "
                               f"is rank 0's, stands where the epoch before ended, or a little later")


def spread(training: Training) -> None:
    """Every rank stands where rank 0 stands: weights, optimiser, position and all else that a snapshot would keep."""
    group = training.workers
    if group.size == 1:
        return
    data = group.broadcast(Snapshot(training.state(), "", "", "").to_bytes() if group.leads else b"")
    if not group.leads:
        training.restore(Snapshot.from_bytes(data, "the state of rank 0").state)
