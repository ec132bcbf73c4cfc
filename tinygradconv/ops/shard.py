"""A batch of which this process has only some rows: what layers need to know of the whole.

With several ranks (tinygradconv/parallel) each has its share of a batch's rows. Most layers treat every row by itself and need not know.
Dropout draws the random numbers of the whole batch's rows, and batch norm may take its statistics over all of them.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shard:
    """Rows of a batch: those from `first` on. `group` has the ranks with the others, where batch statistics are everyone's, or is None."""

    first: int
    group: Any = None


_shard: ContextVar[Shard | None] = ContextVar("shard of a batch", default=None)


def current_shard() -> Shard | None:
    """The shard that is worked on here and now; None where a batch is whole."""
    return _shard.get()


@contextlib.contextmanager
def sharded(shard: Shard) -> Iterator[None]:
    """Within the block batches are this shard of larger ones; the backward pass belongs into the block too."""
    token = _shard.set(shard)
    try:
        yield
    finally:
        _shard.reset(token)
