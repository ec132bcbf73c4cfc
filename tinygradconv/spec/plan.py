"""The plan of a network: which neighbouring layers run as one op, and why.

A convolution, a dense layer and a batch norm (spec.takes) can do on their way out what the layers behind them would do in passes of
their own over the same values: scale and shift them (a batch norm in evaluation, whose statistics are known), add a residual, apply a
ReLU or tanh. The plan finds such neighbours. It is a reading of the network: running layer by layer (`fuse=False`) gives the same numbers.
"""
from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection
from typing import Any

from .infer import Network, Step


@dataclasses.dataclass(frozen=True)
class Group:
    """Layers that run as one: numbers of steps. `head` is the layer whose op does the work, `last` the one whose output leaves.

    `norm` is a batch norm in evaluation, `add` a Residual whose other operand is `other`, `activation` a ReLU or tanh; None where there
    is none. `moments`: whether the one reader of the output is a batch norm in training, for which sums of it are made on the way. `note`
    says what is saved, or what kept the layer behind apart. `drop`: the values that nobody needs after this group.
    """

    head: int
    norm: int | None = None
    add: int | None = None
    other: int | None = None
    activation: int | None = None
    moments: bool = False
    note: str = ""
    drop: tuple[int, ...] = ()

    @functools.cached_property
    def steps(self) -> tuple[int, ...]:
        """All its steps in the order of the network."""
        return tuple(step for step in (self.head, self.norm, self.add, self.activation) if step is not None)

    @property
    def last(self) -> int:
        """The step whose output leaves the group."""
        return self.steps[-1]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The groups of a network in the order they run, for training or for evaluation; `str(plan)` is a table.

    The steps `frozen` compute what they compute in evaluation, in training too.
    """

    network: Network
    groups: tuple[Group, ...]
    frozen: frozenset[int] = frozenset()

    def __str__(self) -> str:
        steps = self.network.steps
        lines = [("path", "runs as one", "why")]
        for group in self.groups:
            names = " + ".join(steps[i].kind for i in group.steps)
            lines.append((steps[group.head].path, names, group.note))
        widths = [max(len(line[i]) for line in lines) for i in range(2)]
        return "\n".join(f"{path.ljust(widths[0])}  {names.ljust(widths[1])}  {why}".rstrip() for path, names, why in lines)


def plan(network: Network, *, train: bool, wanted: Collection[int] = (), fuse: bool = True, frozen: frozenset[int] = frozenset()) -> Plan:
    """The groups of `network`. The outputs of the steps `wanted` (and of the network) are needed as they are: no group goes past one."""
    running = [number for number, step in enumerate(network.steps) if train or not step.training_only]
    readers: dict[int, list[int]] = {number: [] for number in running}
    for number in running:
        for source in network.steps[number].inputs:
            readers.setdefault(source, []).append(number)
    wanted = {network.output, *wanted}
    training = set(running) - frozen if train else set()
    taken: set[int] = set()
    groups: list[Group] = []
    for number in running:
        if number not in taken:
            group = _grow(network, number, readers, wanted, taken, training) if fuse else Group(number)
            taken.update(group.steps)
            groups.append(group)
    groups.sort(key=lambda group: group.last)              # a group runs where its last step stands: all its operands are there by then
    return Plan(network, tuple(_with_drops(network, groups, wanted)), frozen)


def only(plan: Plan, wanted: Collection[int]) -> Plan:
    """The groups of `plan` on which the outputs of the steps `wanted` depend."""
    needed, groups = set(wanted), []
    for group in reversed(plan.groups):
        if group.last in needed:
            groups.append(group)
            needed.update(_operands(plan.network, group))
    return dataclasses.replace(plan, groups=tuple(_with_drops(plan.network, groups[::-1], set(wanted))))


def _grow(network: Network, head: int, readers: dict[int, list[int]], wanted: set[int], taken: set[int], training: set[int]) -> Group:
    """The group of step `head`: layers behind it are taken in for as long as it can do what they do."""
    group, takes = Group(head), network.steps[head].spec.takes
    while takes:
        if group.last in wanted:
            return _noted(network, group, "its output is asked for")
        following = readers[group.last]
        if len(following) != 1 or following[0] in taken:
            return _noted(network, group, f"its output has {len(following)} readers" if len(following) != 1 else "")
        number = following[0]
        step = network.steps[number]
        role = step.spec.role
        if role == "norm" and number in training:
            group = dataclasses.replace(group, moments="moments" in takes)
            return _noted(network, group, "the statistics of a batch norm need the whole output first")
        if role not in takes or (role == "add" and len(step.inputs) != 2):
            return _noted(network, group, "")
        takes = takes - ({"norm"} if role == "norm" else {"norm", "add"} if role == "add" else takes)
        if role == "add":
            first, second = step.inputs
            group = dataclasses.replace(group, add=number, other=second if first == group.last else first)
        else:
            group = dataclasses.replace(group, **{"norm" if role == "norm" else "activation": number})
    return _noted(network, group, "")


def _noted(network: Network, group: Group, reason: str) -> Group:
    saved = len(group.steps) - 1
    if saved:
        values = math.prod(network.steps[group.head].shape)
        reason = f"{saved} pass{'es' if saved > 1 else ''} over {values:,} values saved" + (f"; {reason}" if reason else "")
    return dataclasses.replace(group, note=reason)


def _operands(network: Network, group: Group) -> tuple[int, ...]:
    return (*network.steps[group.head].inputs, *(() if group.other is None else (group.other,)))


def _with_drops(network: Network, groups: list[Group], wanted: set[int]) -> list[Group]:
    """The groups, each with the values whose last reader it is."""
    last: dict[int, int] = {}
    for place, group in enumerate(groups):
        for source in _operands(network, group):
            last[source] = place
    drops: list[list[int]] = [[] for _ in groups]
    for source, place in last.items():
        if source >= 0 and source not in wanted:
            drops[place].append(source)
    return [dataclasses.replace(group, drop=tuple(drop)) for group, drop in zip(groups, drops)]


def run_group(group: Group, steps: list[Step], values: dict[int, Any], site_of: Any, moments: dict[int, dict[int, Any]]) -> Any:
    """The output of a group: its head's op, told what the layers behind it add. `site_of(number)` is what a layer finds where it stands.

    `moments`: by the number of a value that a batch norm is to read, where the group that makes it leaves sums of it (ops.conv2d).
    """
    head, extra = steps[group.head], {}
    left = moments.pop(head.inputs[0], None)
    if group.moments:
        extra["moments"] = moments[group.last] = {}
    elif left is not None:
        extra["moments"] = left
    if group.norm is not None:
        extra["norm"] = steps[group.norm].spec.scale_and_shift(site_of(group.norm))
    if group.add is not None:
        extra["residual"] = values[group.other]
    if group.activation is not None:
        extra["activation"] = steps[group.activation].spec.role
    made = head.spec.apply(*[values[i] for i in head.inputs], site=site_of(group.head), **extra)
    if left:
        left.clear()                                       # of what was not taken: the tape keeps the dict, as an option of its op
    return made
