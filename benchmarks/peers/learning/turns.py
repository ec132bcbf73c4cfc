"""How the sides take turns: a few steps each, a pause until the other's threads sleep, a test after fixed numbers of steps."""
from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..compare import same
from ..protocol import SETTLE
from ..work import OURS
from .case import Progress, Seen
from .sides import Batch, Side


def turns(loader: Any, epochs: int, length: int, every: int) -> Iterator[list[Batch]]:
    """All the batches of the training, in lists of `length` that end where a test is due."""
    batches = itertools.chain.from_iterable(loader.batches(epoch) for epoch in range(epochs))
    done = 0
    while taken := list(itertools.islice(batches, min(length, every - done % every))):
        done += len(taken)
        yield taken


def learn(sides: dict[str, Side], turns_of_batches: Iterable[list[Batch]], tests: Sequence[Batch], steps: int, every: int,
          progress: dict[str, Progress], say: Callable[[dict[str, Progress]], object] = lambda progress: None, *,
          clock: Callable[[], float] = time.perf_counter, pause: Callable[[float], object] = time.sleep) -> None:
    """Let the sides learn in turns; what they have come to is in `progress`, which `say` is told after every test."""
    ready = {name: [side.prepared(batch) for batch in tests] for name, side in sides.items()}
    done = 0
    for batches in turns_of_batches:
        first = {}
        for name, side in sides.items():
            prepared, at = [side.prepared(batch) for batch in batches], progress[name]
            pause(SETTLE)
            start = clock()
            losses = [side.step(batch) for batch in prepared]
            at.seconds += clock() - start
            at.steps += len(losses)
            first[name] = np.array(losses[0])
        if not done:
            for name, loss in first.items():
                same(f"the loss of the first step of {name}", loss, first[OURS], 1e-4)
        done += len(batches)
        if done % every == 0 or done == steps:
            for name, side in sides.items():
                progress[name].tests.append(Seen(done, progress[name].seconds, side.accuracy(ready[name])))
            say(progress)
