"""What changes from one step to the next, where a step is recorded once and replayed (cuda/graph.py).

A recorded launch keeps its arguments. What is to change between replays (a learning rate, the number of a step) therefore lies in the GPU's
memory, where kernels read it, and code that takes such a number from the host asks `following`. What Python does beside launching is done
once, while the step is recorded: what must happen again at every replay is told to the recording (`changed`), and what cannot is refused.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Live:
    """A number that kernels find in the GPU's memory: the host does not know it while a step is recorded, so it cannot compute with it.

    It may be handed to what ends in a kernel: an optimiser's rate, the step of random numbers; `place(dtype)` is the array of one element
    where it is then read. Everything else is a TypeError that says so. `checks` are called with each value that it takes.
    """

    __slots__ = ("checks", "name", "place")
    __hash__ = None

    def __init__(self, name: str, place: Callable[[Any], Any]) -> None:
        self.name, self.place = name, place
        self.checks: list[Callable[[Any], object]] = []

    def __repr__(self) -> str:
        return f"<{self.name}, which changes from call to call>"

    def _unknown(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"capture: {self.name} is a number that changes from call to call. While the step is recorded it can be the rate "
                        f"of an optimiser, or a step of random numbers, and nothing else. To compute with it, give it as a tensor on the "
                        f"GPU: Tensor(…).to('cuda')")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _unknown
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _unknown
    __bool__ = __float__ = __int__ = __index__ = __array__ = _unknown


class CannotRecord(RuntimeError):
    """What a step does cannot be recorded; the message says what, and what to do instead."""


class Cold(Exception):
    """A step that is recorded launches a kernel that was never launched before: it must run once more as it is, and be recorded then."""


recorder: list[Any] = []                   # the recording that is under way, if one is: there is one compute stream, so at most one


def recording_here() -> Any:
    """The recording that this thread makes; None where it makes none."""
    for made in tuple(recorder):
        return made if made.thread == threading.get_ident() else None
    return None


def following(name: str, read: Callable[[], Any]) -> Any:
    """read(), once; or, while a step is recorded, a Live number that is read() anew, once, before each replay."""
    made = recording_here()
    return read() if made is None else made.follow(name, read)


def changed(storage: Any) -> None:
    """Raise the version of a storage whose memory changes in place, here and, while a step is recorded, at each replay."""
    storage.version += 1
    if (made := recording_here()) is not None:
        made.changed.append(storage)


def refuse(what: str) -> None:
    """CannotRecord where a step is recorded: `what` it does, in words that follow "it", and what to do instead."""
    if recording_here() is not None:
        raise CannotRecord(what)


def adds_to(leaf: Any) -> None:
    """CannotRecord where a recorded step adds to a gradient that was there before it, which a replay would find where it was once."""
    if (made := recording_here()) is not None:
        if leaf.grad is not None and not any([leaf is known for known in made.leaves]):
            raise CannotRecord("adds to a .grad that was there before it (backward()): use grad(), or set x.grad = None before")
        made.leaves.append(leaf)


def holding(question: Callable[[], bool]) -> None:
    """A step that is recorded is recorded anew once question() is no longer true: what it was told of the host has changed."""
    if (made := recording_here()) is not None:
        made.holds.append(question)


def replaced(tensors: dict[str, Any], name: str, copied: Callable[[Any], Any]) -> Any:
    """A tensor with the values of tensors[name], in its place there, for the caller to change: copied(tensors[name]).

    While a step is recorded it is the tensor itself, so that each replay goes on from it, as long as it stays there.
    """
    made = recording_here()
    if made is None:
        tensors[name] = copied(tensors[name])
        return tensors[name]
    there = tensors[name]
    changed(there.storage)
    made.holds.append(lambda: tensors.get(name) is there)
    return there


__all__ = ["CannotRecord", "Cold", "Live", "adds_to", "changed", "following", "holding", "recorder", "recording_here", "refuse", "replaced"]
