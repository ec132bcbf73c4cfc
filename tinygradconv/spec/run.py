"""Running a plan: group after group, each layer told where it stands, and each value let go after its last use."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinygradconv.anomaly import AnomalyError
from tinygradconv.autodiff import no_grad
from tinygradconv.ops.random import key_of
from tinygradconv.remat import replaying
from tinygradconv.tensor import Tensor

from .infer import INPUT, Step
from .plan import Group, Plan, run_group
from .running import Running


class Site:
    """What a layer finds where it stands: `where` (for errors), its `parameters`, the mode, and its random stream."""

    __slots__ = ("_buffers", "_running", "_seed", "_step", "is_real", "parameters", "step", "train")

    def __init__(self, step: Step, parameters: Mapping[str, Tensor], buffers: dict[str, Tensor], running: Running, *, train: bool,
                 seed: int, number: int, is_real: bool) -> None:
        self.parameters = {name: parameters[path] for name, path in step.parameters.items()}
        self.train, self.step, self.is_real = train, number, is_real
        self._buffers, self._running, self._seed, self._step = buffers, running, seed, step

    @property
    def where(self) -> str:
        """The path and the kind of the layer."""
        return f"{self._step.path}: {self._step.kind}" if self._step.path else self._step.kind

    @property
    def key(self) -> int:
        """The key of this layer's random numbers; `step` is the number of the training call."""
        return key_of(self._seed, self._step.stream)

    def buffer(self, name: str) -> Tensor:
        """The buffer that the layer calls `name`."""
        return self._buffers[self._step.buffers[name]]

    def move(self, name: str, value: Tensor, keep: float, share: float) -> None:
        """Move a buffer to keep · buffer + share · value (running.py): once per call, not again when a `remat` replays it."""
        if self.is_real and not replaying():
            with no_grad():
                self._running.move(self._step.buffers[name], value.detach(), keep, share)


def run(plan: Plan, parameters: Mapping[str, Tensor], buffers: dict[str, Tensor], x: Tensor, *, train: bool, seed: int = 0,
        number: int = 0, wanted: Iterable[int] = (), watch: Callable[[Group, Tensor], None] | None = None) -> dict[int, Tensor]:
    """The outputs of the steps `wanted`, by number. Values go after their last use; `watch(group, output)` sees each as it is made."""
    steps, values = plan.network.steps, {INPUT: x}
    is_real, running = x.device != "abstract", Running(buffers)
    moments: dict[int, dict[int, Any]] = {}

    def site_of(step: int) -> Site:
        learns = train and step not in plan.frozen
        return Site(steps[step], parameters, buffers, running, train=learns, seed=seed, number=number, is_real=is_real)

    for group in plan.groups:
        try:
            values[group.last] = run_group(group, steps, values, site_of, moments)
        except (TypeError, ValueError, AnomalyError) as problem:
            problem.add_note(f"in {site_of(group.head).where} of the model")
            raise
        if watch is not None:
            watch(group, values[group.last])
        for done in group.drop:
            values.pop(done, None)
    running.finish()
    return {index: values[index] for index in wanted}
