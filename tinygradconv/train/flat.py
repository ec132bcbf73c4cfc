"""All gradients of a network on a GPU in one array, so that what is asked of all of them is a few kernels and not a few for each."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tinygradconv.backends import backend_of, filled, piece
from tinygradconv.tensor import Tensor


def flattened(tensors: Sequence[Tensor]) -> Tensor:
    """The values of tensors on a GPU, all of one dtype, one after the other: (Σ sizes,).

    The kernel of gradient descent, p −= rate · (g + decay · p), takes any number of arrays in one launch; with rate −1, decay 0 and a
    p of zeros it is p = g.
    """
    be = backend_of(tensors[0].data)
    flat = filled(be.empty((sum(t.size for t in tensors),), tensors[0].dtype), 0.0)
    parts = tuple([part.data for part in cut(Tensor.of(flat), tensors)])
    be.run("sgd", tuple([t.data for t in tensors]), (), parts, -1.0, 0.0, 0.0, False)
    return Tensor.of(flat)


def cut(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The parts of `flat`, (Σ sizes,), that are shaped like these tensors; the same memory."""
    starts = accumulate((t.size for t in like), initial=0)
    return [Tensor.of(piece(flat.data, start, t.shape)) for t, start in zip(like, starts)]
