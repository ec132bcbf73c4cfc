"""Captured steps: on a GPU the hundreds of launches of a training step become one.

    step = capture(train_step)
    for x, labels in batches:
        loss = step(x, labels, schedule(i))

The first call for given shapes runs the function as it is. The second records what it launches as a CUDA graph (backends/cuda/graph.py) and
starts that; so does every later one, and Python does not run the function any more. A call computes what the function would compute, to the
bit. Tensors and numbers among the arguments may change from call to call. Everything else that the function finds on the host, it finds
once, when it is recorded; but the counters of models and optimisers go on counting, batch norm's statistics go on moving.
"""
from __future__ import annotations

import functools
import inspect
import threading
import traceback
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NoReturn

import numpy as np

from tinygradconv.backends import loaded
from tinygradconv.backends.live import CannotRecord, Cold, recording_here
from tinygradconv.geometry import described
from tinygradconv.settings import current
from tinygradconv.structure import form, mapped
from tinygradconv.tape import recording
from tinygradconv.tensor import Tensor

MOST_GRAPHS = 8                            # recordings of one function, for different shapes: each keeps memory of its own
MOST_TRIES = 3                             # of recording one, while kernels are met that were not met in the call before


def capture(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose launches on the GPU are recorded as one CUDA graph and replayed: the same results, without Python's time for each.

    It takes tensors on the GPU, numbers, and anything hashable, also within lists, tuples and dicts; another shape, dtype or hashable
    value is another recording (8 at most). A number may become an optimiser's rate or a step of random numbers; what is computed with
    must be a tensor. It returns tensors, also within lists, tuples and dicts: each call's own, without a graph to go backward through.
    `forget()` on the result lets the recordings go, for a function that would do something else now.

    RuntimeError, when it is recorded, names what cannot be: reading values on the host, hooks, anomaly mode, custom ops, tuning,
    launch_blocking. Where no tensor is on a GPU it only calls the function.
    """
    if not callable(function):
        raise TypeError(f"capture: expected a function, got {described(function)}")
    return Captured(function)


class Captured:
    """What `capture` returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function, self._name = function, getattr(function, "__name__", type(function).__name__)
        self._graphs: dict[Hashable, _Recorded] = {}
        self._tries: dict[Hashable, int] = {}
        self._lock, self._gpu, self._pool = threading.Lock(), None, None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """function(*arguments, **named)."""
        leaves: list[Any] = []
        form((arguments, named), leaves.append)
        gpu = self._place(leaves)
        if recording_here() is not None or gpu is None:
            return self._seen(arguments, named)
        leaves.clear()
        key = form((arguments, named), lambda part: _described(part, leaves)), recording(), _settings()
        with self._lock:
            return self._run(gpu, key, arguments, named, leaves)

    def forget(self) -> None:
        """Let the recordings go; the next call runs the function as it is."""
        with self._lock:
            self._graphs.clear()
            self._tries.clear()
            self._gpu = None
            if self._pool is not None:
                self._pool.retire()
                self._pool = None

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None:
            self._pool.retire()

    def _place(self, leaves: list[Any]) -> Any:
        """The GPU's back end, where a tensor is on it, or where the function was seen to compute there."""
        on_gpu = any(isinstance(leaf, Tensor) and leaf.device == "cuda" for leaf in leaves)
        return loaded("cuda") if on_gpu else self._gpu

    def _seen(self, arguments: Any, named: Any) -> Any:
        """Call the function, and see whether it computes on the GPU though none of its arguments is there."""
        gpu = loaded("cuda")
        before = 0 if gpu is None else gpu.device.launches
        result = self.function(*arguments, **named)
        if gpu is not None and recording_here() is None and gpu.device.launches > before:
            self._gpu = gpu
        return result

    def _run(self, gpu: Any, key: Hashable, arguments: Any, named: Any, leaves: list[Any]) -> Any:
        known = self._graphs.get(key)
        if known is not None and not known.graph.valid():
            del self._graphs[key]
            known = None
        tried = self._tries.setdefault(key, 0)
        if known is None and tried > 0:
            known = self._record(gpu, key, arguments, named, leaves)
        self._tries[key] = tried + 1
        return self.function(*arguments, **named) if known is None else known.replay(gpu, leaves)

    def _record(self, gpu: Any, key: Hashable, arguments: Any, named: Any, leaves: list[Any]) -> _Recorded | None:
        """The step, recorded; None where it launches kernels that were not launched before, so that it has to run as it is again."""
        if len(self._graphs) == MOST_GRAPHS:
            raise RuntimeError(f"capture: {self._name} has been recorded for {MOST_GRAPHS} different shapes or other arguments, and each "
                               f"recording keeps memory. Give batches of one shape, or capture a function for each kind of call")
        if self._pool is None:
            self._pool = gpu.allocator.pool()
        gpu.allocator.release()                                # what was cached while the step ran as it is would be needed twice
        try:
            made = self._graphs[key] = _Recorded(self, gpu, self._pool, arguments, named, leaves)
        except Cold as problem:
            if self._tries[key] < MOST_TRIES:
                return None
            raise RuntimeError(f"capture: {self._name} cannot be recorded: each call launches a kernel that the call before did not, "
                               f"the last one {problem}") from None
        except CannotRecord as problem:
            _refused(self._name, problem)
        return made


class _Recorded:
    """One recording: the tensors that stand for its arguments, and how its results are copied."""

    def __init__(self, captured: Captured, gpu: Any, pool: Any, arguments: Any, named: Any, leaves: list[Any]) -> None:
        from tinygradconv.backends.cuda.graph import Recording, record
        _check_settings()
        self._recording = Recording(gpu.driver, gpu.allocator, pool)
        self._values = list(leaves)                            # the numbers of the call that is made
        names = iter(_names(captured.function, arguments, named))
        with gpu.device.allocating(pool):
            self._inputs = [self._stand_in(gpu, i, leaf, next(names)) for i, leaf in enumerate(leaves)]
        places = iter(self._inputs)
        given, keywords = mapped((arguments, named), lambda part: next(places) if _is_leaf(part) else part)
        self.graph = record(gpu, pool, self._recording, lambda: self._checked(captured.function(*given, **keywords)))

    def _stand_in(self, gpu: Any, i: int, leaf: Any, name: str) -> Any:
        """What the function gets in the place of an argument: a tensor of its shape, a number that is read at each call."""
        if not isinstance(leaf, Tensor):
            return self._recording.follow(name, lambda: self._values[i])
        if leaf.device != "cuda":
            raise CannotRecord(f"takes {name}, which is on the CPU: give {name}.to('cuda')")
        made = Tensor.of(gpu.device.empty(leaf.shape, leaf.dtype))
        return made.requires_grad_() if leaf.requires_grad else made

    def _checked(self, result: Any) -> Any:
        """What the function returned, which must be tensors on the GPU."""
        for leaf in self._recording.leaves:
            if leaf.grad is not None:
                raise CannotRecord("leaves a .grad behind, to which the next call would add: use grad(), or set x.grad = None at its end")
        return mapped(result, _detached)

    def replay(self, gpu: Any, leaves: list[Any]) -> Any:
        """One call."""
        self._values[:] = leaves
        for place, leaf in zip(self._inputs, leaves):
            if isinstance(place, Tensor):
                if place.data.nbytes:
                    gpu.driver.copy_within(place.data.pointer, leaf.data.pointer, place.data.nbytes)
                place.storage.version += 1
        self.graph.replay()
        return mapped(self.graph.result, lambda value: _copied(gpu, value))


def _is_leaf(value: Any) -> bool:
    """Whether a part of an argument may change from call to call."""
    return isinstance(value, (Tensor, int, float, np.number)) and not isinstance(value, bool)


def _described(value: Any, leaves: list[Any]) -> Hashable:
    """What of a part of an argument decides which recording it is for; tensors and numbers are put into `leaves`."""
    if _is_leaf(value):
        leaves.append(value)
        return (value.shape, value.dtype, value.requires_grad, value.device) if isinstance(value, Tensor) else "number"
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"capture: an argument must be tensors, numbers or something hashable, or lists, tuples and dicts of those; got "
                        f"{type(value).__name__}. An array is given as Tensor(array).to('cuda')") from None
    return value


def _names(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Iterator[str]:
    """The parameter that each leaf belongs to."""
    try:
        parameters = [p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    except (TypeError, ValueError):
        parameters = []
    said = [parameters[min(i, len(parameters) - 1)] if parameters else f"argument {i + 1}" for i in range(len(arguments))]
    for name, value in [*zip(said, arguments), *named.items()]:
        leaves: list[Any] = []
        form(value, lambda part, leaves=leaves: _described(part, leaves))
        yield from [name] * len(leaves)


def _detached(value: Any) -> Any:
    """A tensor that a function returned, without its graph; CannotRecord for what is no tensor on the GPU."""
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise CannotRecord(f"returns {value!r:.80}, of type {type(value).__name__}, which would be that of the recording for ever: return "
                           f"tensors")
    if value.device != "cuda":
        raise CannotRecord("returns a tensor on the CPU, which would be that of the recording for ever: return one that is on the GPU")
    return value.detach()


def _copied(gpu: Any, value: Any) -> Any:
    """What a replay has filled, as a tensor of the call's own."""
    if value is None:
        return None
    made = gpu.device.empty(value.shape, value.dtype)
    if made.nbytes:
        gpu.driver.copy_within(made.pointer, value.data.pointer, made.nbytes)
    return Tensor.of(made)


def _settings() -> Hashable:
    """The settings that a recording depends on."""
    return tuple(current()[name] for name in ("backend", "exact", "precision", "poison"))


def _check_settings() -> None:
    """CannotRecord under a setting that needs the host in every step."""
    for name, does in (("anomaly", "looks at every result on the host"), ("tune", "times kernels"),
                       ("launch_blocking", "waits for each kernel")):
        if current()[name]:
            raise CannotRecord(f"runs under the setting {name}, which {does}: switch it off")


def _refused(name: str, problem: CannotRecord) -> NoReturn:
    """RuntimeError: what cannot be recorded, and the line of the function where it was met."""
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(problem.__traceback__)
             if str(frame.f_globals.get("__name__", "")).partition(".")[0] != "tinygradconv"]
    at = f" at {lines[-1][0]}:{lines[-1][1]}" if lines else ""
    raise RuntimeError(f"capture: {name} cannot be recorded:{at} it {problem}. Called by itself, without capture, it works") from problem


__all__ = ["Captured", "capture"]
