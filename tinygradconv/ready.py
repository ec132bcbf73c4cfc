"""When a gradient is complete: so that it can be sent elsewhere while the backward pass goes on (`grad(…, on_ready=…)`)."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygradconv.tape import Node
from tinygradconv.tensor import Tensor


def turns(useful: dict[Node, bool]) -> dict[Node, float]:
    """When each target that is a leaf is visited: right after the last of its consumers, the oldest, and not at the very end.

    A leaf is older than all that is made of it, so by its own number its turn would come after every op. Visited are small numbers
    first, of an op the negative of its sequence; those of leaves that wait for one consumer are different fractions above its.
    """
    last: dict[Node, Node] = {}
    for node in sorted(useful, key=lambda n: -n.sequence):
        for parent in node.parents:
            if parent is not None and parent.op is None and useful.get(parent):
                last[parent] = node
    return {leaf: (i + 1) / (len(last) + 1) - consumer.sequence for i, (leaf, consumer) in enumerate(last.items())}


def teller(targets: Sequence[Tensor], on_ready: Callable[[int, Tensor], None]) -> Callable[[Node, Tensor], None]:
    """What calls on_ready(i, g) for each target i whose node has been reached."""
    places: dict[Node, list[int]] = {}
    for i, x in enumerate(targets):
        places.setdefault(x.node, []).append(i)

    def tell(node: Node, g: Tensor) -> None:
        for i in places.get(node, ()):
            on_ready(i, g)
    return tell
