"""A running mean of a model's weights, which often does better than the weights themselves."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygradconv.arrays import is_scattered
from tinygradconv.backends import backend_of
from tinygradconv.backends.live import following
from tinygradconv.tensor import Tensor

from .checks import fraction
from .optim import match_arrays


class EMA:
    """average += (1 − decay) · (value − average), for every parameter and buffer of a model; the first update takes the values themselves.

    An exponential moving average (Polyak and Juditsky 1992 for the mean of the path; PyTorch's AveragedModel with use_buffers=True).

        ema = EMA(model)
        optimizer.update(gradients, rate); ema.update()             # in every step
        with ema.applied():
            evaluate(model, batches)                                # with the averages for weights

    ValueError: decay is outside [0, 1).
    """

    def __init__(self, model: Any, decay: float = 0.999) -> None:
        self.model, self.decay, self.updates = model, fraction("EMA", "decay", decay), 0
        self._averages = {path: backend_of(t.data).asarray(np.array(t.numpy())) for path, t in self._tensors().items()}
        together: dict[Any, list[str]] = {}                        # a call takes arrays of one dtype
        for path, t in self._tensors().items():
            together.setdefault((backend_of(t.data), t.dtype), []).append(path)
        self._groups = [(be, paths, tuple([self._averages[path] for path in paths])) for (be, _), paths in together.items()]

    def _tensors(self) -> dict[str, Tensor]:
        return {**self.model.parameters, **self.model.buffers}

    def update(self) -> None:
        """Move the averages towards the model's values as they are now: in place, all in one call."""
        tensors, pace = self._tensors(), 1 - self.decay
        for be, paths, averages in self._groups:
            values = tuple([np.ascontiguousarray(a) if is_scattered(a) else a for a in [tensors[path].data for path in paths]])
            if self.updates == 0:
                for average, value in zip(averages, values):
                    be.run("copy", value, average)
            else:
                # The kernel of gradient descent, p −= rate · (g + decay · p), with rate −pace and decay −1, is p += pace · (g − p).
                be.run("sgd", values, (), averages, -pace, 0.0, -1.0, False)
        following("the number of averages", self._count)

    def _count(self) -> int:
        self.updates += 1
        return self.updates

    def arrays(self) -> list[Any]:
        """The averages, where they are: they change in place."""
        return list(self._averages.values())

    def weights(self) -> dict[str, np.ndarray]:
        """The averages of parameters and buffers by path; copies."""
        return {path: array.copy() for path, array in self._on_the_host().items()}

    def _on_the_host(self) -> dict[str, np.ndarray]:
        """The averages as NumPy arrays by path; those of the CPU are not copied."""
        return {path: backend_of(average).to_numpy(average) for path, average in self._averages.items()}

    @contextmanager
    def applied(self) -> Iterator[Any]:
        """`with ema.applied() as model:` the model has the averages for weights and buffers; afterwards its own again, to the bit.

        Anything learned within the block is lost. What was recorded before cannot go backward afterwards: the weights have moved.
        """
        parameters, buffers = self.model.parameters, dict(self.model.buffers)
        own = {path: Tensor(p).data for path, p in parameters.items()}
        try:
            _put(parameters, self._averages)
            for path in buffers:
                self.model.buffers[path] = Tensor(Tensor.of(self._averages[path]))
            yield self.model
        finally:
            _put(parameters, own)
            self.model.buffers.update(buffers)

    def state(self) -> dict[str, np.ndarray]:
        """What a snapshot keeps: `average.<path>`, on the CPU not copied, and `updates`."""
        return {**{f"average.{path}": a for path, a in self._on_the_host().items()}, "updates": np.array(self.updates, np.int64)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state()`. ValueError names what is missing, too much, or of another shape; then nothing has been changed."""
        match_arrays("EMA", self.state(), state)
        for path, average in self._averages.items():
            backend_of(average).assign(average, state[f"average.{path}"])
        self.updates = int(state["updates"])


def _put(parameters: Mapping[str, Tensor], arrays: Mapping[str, Any]) -> None:
    """Change parameters in place, to arrays beside them."""
    for path, p in parameters.items():
        backend_of(p.data).run("copy", arrays[path], p.data)
        p.storage.version += 1
