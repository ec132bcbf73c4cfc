"""Numbers that change from one step to the next, where a step is recorded once and replayed (cuda/graph.py).

A recorded launch keeps its arguments. What is to change between replays (a learning rate, the number of a step) therefore lies in the GPU's
memory, where kernels read it. Code that takes such a number from the host asks `following`; outside a recording that is the number itself.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Live:
    """A number that kernels read from `array`, of one element: the host does not know it while a step is recorded, so it cannot compute.

    It may be handed to what ends in a kernel: an optimiser's rate, the step of random numbers. Everything else is a TypeError that says so.
    """

    __slots__ = ("array", "name")
    __hash__ = None

    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def __repr__(self) -> str:
        return f"<{self.name}, which changes from call to call>"

    def _unknown(self, *_: Any) -> Any:
        raise TypeError(f"capture: {self.name} is a number that changes from call to call. While the step is recorded it can be the rate "
                        f"of an optimiser, or a step of random numbers, and nothing else. To compute with it, give it as a tensor on the "
                        f"GPU: Tensor(…).to('cuda')")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _unknown
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _unknown
    __bool__ = __float__ = __int__ = __index__ = __array__ = _unknown


recorder: list[Any] = []                   # the recording that is under way, if one is: there is one compute stream, so at most one


def following(name: str, dtype: str, read: Callable[[], Any]) -> Any:
    """read(), once; or, while a step is recorded, a Live number of this dtype that is read() anew, once, before each replay."""
    return recorder[0].follow(name, dtype, read) if recorder else read()


__all__ = ["Live", "following", "recorder"]
