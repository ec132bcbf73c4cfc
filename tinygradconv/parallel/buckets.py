"""Gradients of a whole batch, from those of its parts: summed over the ranks in buckets, while the backward pass goes on.

A bucket is one array that holds many gradients, so that a network of many small layers needs few messages. Buckets are filled in the
order in which the backward pass finishes the gradients, the last layer's first; a full one is sent at once, and is on its way while
the layers below are still at work (Li et al. 2020, "PyTorch Distributed", sections 3.2 and 4.2).
"""
from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from tinygradconv.autodiff import grad
from tinygradconv.backends import backend_of, piece
from tinygradconv.tensor import Tensor

from .group import Done, Group

BYTES = 1 << 20                        # of a bucket that is full: some milliseconds of a backward pass, far more than a message's latency


class Buckets:
    """`grad(loss, xs, share)`: Σ over the ranks of share · ∂loss/∂x, for the same xs (leaves, in the same order) in every call.

    With share = own images / all images and a loss that is a mean, this is the gradient of the mean over the whole batch. All ranks get
    the same bits. In which order the gradients come is seen in the first call, by rank 0, and then everyone's.
    """

    def __init__(self, group: Group, bytes_each: int = BYTES) -> None:
        self.group, self.bytes_each = group, bytes_each
        self._buckets: list[list[int]] | None = None        # of places in xs

    def grad(self, loss: Tensor, xs: Sequence[Tensor], share: float = 1.0) -> list[Tensor]:
        """The gradients, summed. What the tape kept is let go."""
        if self.group.size == 1:
            return grad(loss, list(xs), retain_graph=False)
        weight, finished = Tensor.of(backend_of(loss.data).asarray(np.array(share, loss.dtype))), []
        if self._buckets is None:
            gradients = grad(loss, list(xs), weight, retain_graph=False, on_ready=lambda i, g: finished.append(i))
            order = json.loads(self.group.broadcast(json.dumps(finished).encode()))
            self._buckets = filled([xs[i] for i in order], order, self.bytes_each)
            sums = _Sums(self.group, xs, self._buckets)
            for i in order:
                sums.add(i, gradients[i])
        else:
            sums = _Sums(self.group, xs, self._buckets)
            grad(loss, list(xs), weight, retain_graph=False, on_ready=sums.add)
        return sums.finish()


def filled(xs: Sequence[Tensor], places: Sequence[int], bytes_each: int) -> list[list[int]]:
    """The places of xs, cut into buckets of one dtype that are full with `bytes_each` or more; the last may not be full."""
    buckets: list[list[int]] = []
    held, dtype = bytes_each, None
    for x, place in zip(xs, places):
        if held >= bytes_each or x.dtype != dtype:
            buckets.append([])
            held, dtype = 0, x.dtype
        buckets[-1].append(place)
        held += x.size * x.dtype.itemsize
    return buckets


class _Sums:
    """The buckets of one backward pass: sent in their order, each as soon as it and all before it are full."""

    def __init__(self, group: Group, xs: Sequence[Tensor], buckets: list[list[int]]) -> None:
        self.group, self.buckets = group, buckets
        self.missing = [len(bucket) for bucket in buckets]
        self.flat, self.parts, self.bucket_of = [], [None] * len(xs), {}
        for number, bucket in enumerate(buckets):
            first = xs[bucket[0]]
            self.flat.append(backend_of(first.data).empty((sum(xs[i].size for i in bucket),), first.dtype))
            start = 0
            for i in bucket:
                self.parts[i] = piece(self.flat[-1], start, xs[i].shape)
                self.bucket_of[i] = number
                start += xs[i].size
        self.sent: list[Done] = []

    def add(self, i: int, g: Tensor) -> None:
        """One more gradient is complete; what is on its way goes on meanwhile."""
        if type(self.parts[i]) is np.ndarray:
            self.parts[i][...] = g.data
        else:
            backend_of(g.data).run("copy", g.data, self.parts[i])
        self.missing[self.bucket_of[i]] -= 1
        while len(self.sent) < len(self.buckets) and not self.missing[len(self.sent)]:
            self.sent.append(self.group.start_sum(self.flat[len(self.sent)]))
        for pending in self.sent:
            if not pending.done():
                return

    def finish(self) -> list[Tensor]:
        """The sums, by their places."""
        for pending in self.sent:
            pending.wait()
        return [Tensor.of(part) for part in self.parts]
