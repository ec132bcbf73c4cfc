"""The tape: one node for each recorded call, linked to the nodes of its inputs."""
from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygradconv.anomaly import users_frame
from tinygradconv.tensor import Storage, Tensor, Value, tensor_of

if TYPE_CHECKING:
    from tinygradconv.primitive import Primitive

_sequence = itertools.count()
_recording: ContextVar[bool] = ContextVar("recording", default=True)
_is_recording = _recording.get             # looked up once, as in settings.py
reads: ContextVar[dict[Storage, int] | None] = ContextVar("reads", default=None)   # what ops read, and its version, where a remat asks
reads_here = reads.get


def recording() -> bool:
    """Whether ops are recorded here and now."""
    return _is_recording()


@contextlib.contextmanager
def no_grad(off: bool = True) -> Iterator[None]:
    """Within the block nothing is recorded: results are constants and nothing is kept. `no_grad(off=False)` records again."""
    token = _recording.set(not off)
    try:
        yield
    finally:
        _recording.reset(token)


class Node:
    """One recorded call: the op, the nodes of its inputs, the values that its rules will ask for; a leaf has no op.

    `sequence` counts nodes as they are made; `kept` maps a name to (tensor, version at the time); `line` is where the
    call stood in the user's source.
    """

    __slots__ = ("code", "dtype", "grad", "hooks", "instruction", "kept", "op", "options", "parents", "sequence", "shape")

    def __init__(self, op: Primitive | None, parents: tuple[Node | None, ...], kept: dict[str, Any] | None, options: dict[str, Any],
                 shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.op, self.parents, self.kept, self.options = op, parents, kept, options
        self.shape, self.dtype = shape, dtype
        self.hooks = self.grad = None          # functions of the gradient; the gradient that backward() has added up in a leaf
        self.sequence = next(_sequence)
        if op is not None:
            frame = users_frame()
            self.code, self.instruction = frame.f_code, frame.f_lasti

    @property
    def line(self) -> str:
        """file:line of the call that made this node."""
        if self.op is None:
            return "a leaf"
        positions = next(itertools.islice(self.code.co_positions(), self.instruction // 2, None), (None,))
        return f"{self.code.co_filename}:{positions[0]}"

    def value(self, name: str) -> Any:
        """What a rule asked for by `name`; RuntimeError where it has been changed in place since, or was released."""
        if self.kept is None:
            raise RuntimeError(f"{self.op.name} ({self.line}): its kept values were released by an earlier backward(). "
                               f"Call backward(retain_graph=True) the first time, or run the forward pass again")
        found = self.kept.get(name)
        if found is not None:
            tensor: Value = found[0]
            storage: Storage = tensor.stored()
            if storage.version != found[1]:
                raise RuntimeError(f"{self.op.name} ({self.line}): {name!r}, of shape {tensor.data.shape}, was changed in place after the "
                                   f"forward pass (version {storage.version}, recorded at {found[1]}). "
                                   f"Call backward() before the optimiser's update")
            return tensor_of(tensor.data, self, storage) if name == "y" else tensor
        return self.options[name] if name in self.options else self.op.defaults[name]


def next_sequence() -> int:
    """A number larger than that of every node made so far and smaller than that of every node to come."""
    return next(_sequence)


Tensor._leaf = staticmethod(lambda tensor: Node(None, (), None, {}, tensor.shape, tensor.dtype))
