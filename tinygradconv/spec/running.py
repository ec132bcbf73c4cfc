"""Running statistics: buffers that move towards what a batch has, keep · buffer + share · value.

On the CPU each moves by itself, when its layer runs. On a GPU, where a kernel for 64 numbers costs as much to start as one for a million,
those of a whole network move together, at the end of its forward pass: the kernel of gradient descent, p −= rate · (g + decay · p), with
rate −share and decay −(1 − keep) / share is p = keep · p + share · g.
"""
from __future__ import annotations

from tinygradconv.backends import backend_of
from tinygradconv.backends.live import replaced
from tinygradconv.tensor import Tensor


class Running:
    """What is to move in `buffers`, tensors by path, which are replaced by others, and in a recorded step change in place."""

    def __init__(self, buffers: dict[str, Tensor]) -> None:
        self._buffers = buffers
        self._waiting: dict[tuple[float, float], dict[str, Tensor]] = {}          # value by path, for each (keep, share)

    def move(self, path: str, value: Tensor, keep: float, share: float) -> None:
        """buffers[path] = keep · buffers[path] + share · value, now or with the others."""
        if value.device != "cuda":
            self._buffers[path] = self._buffers[path] * keep + value * share
            return
        if not share:
            return
        if any(path in values for values in self._waiting.values()):              # of a layer that is used twice
            self.finish()
        self._waiting.setdefault((keep, share), {})[path] = value

    def finish(self) -> None:
        """Move what waits."""
        for (keep, share), values in self._waiting.items():
            be = backend_of(next(iter(values.values())).data)
            places = [replaced(self._buffers, path, lambda old: Tensor(old)) for path in values]
            be.run("sgd", tuple([value.data for value in values.values()]), (), tuple([place.data for place in places]), -share, 0.0,
                   (keep - 1) / share, False)
        self._waiting.clear()


__all__ = ["Running"]
