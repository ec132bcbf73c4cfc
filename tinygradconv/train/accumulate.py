"""Accumulation: the gradient of a batch that is too large for the memory, from parts of it."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tinygradconv.autodiff import no_grad
from tinygradconv.tensor import Tensor

from .checks import number


class Accumulation:
    """g = Σᵢ nᵢ · gᵢ / Σᵢ nᵢ: the gradient of the mean loss over all images, from those of parts of nᵢ images each.

        total = Accumulation()
        for x, labels in parts:
            total.add(grad(cross_entropy(model(x, train=True), labels), parameters), len(labels))
        optimizer.update(total.mean(), rate)

    That is the large batch's gradient wherever an image does not depend on the others, so not where batch norm is. The sums are taken in
    the order of the parts, so the bits depend on nothing else; of a single part they are its own. Between two updates nothing is held that
    a snapshot would need.
    """

    def __init__(self) -> None:
        self.count, self._alone = 0.0, True                   # whether the sums are one part's gradients, not yet times its images
        self._paths: list[Any] | None = None
        self._sums: list[Tensor] = []

    def add(self, gradients: Mapping[str, Tensor] | Iterable[Tensor], count: float = 1) -> None:
        """One part's mean gradients (a dict by path, or a list), of `count` images. ValueError: they are not shaped as the first part's."""
        number("Accumulation", "count", count, above=0)
        paths = list(gradients) if isinstance(gradients, Mapping) else None
        new = list(gradients.values()) if isinstance(gradients, Mapping) else list(gradients)
        if self._sums and (paths != self._paths or [g.shape for g in new] != [g.shape for g in self._sums]):
            raise ValueError(f"Accumulation: every part needs gradients of the same parameters in the same order, "
                             f"got {_said(paths, new)} after {_said(self._paths, self._sums)}")
        if not self._sums:
            self._sums = new
        else:
            with no_grad():
                before = [g * self.count for g in self._sums] if self._alone else self._sums
                self._sums, self._alone = [a + g * count for a, g in zip(before, new)], False
        self._paths, self.count = paths, self.count + count

    def mean(self) -> Any:
        """The mean of all that was added, as a dict or a list, and begin anew. ValueError: nothing was added."""
        if not self.count:
            raise ValueError("Accumulation: mean() of nothing; add() the gradients of at least one part first")
        with no_grad():
            means = self._sums if self._alone else [a / self.count for a in self._sums]
        paths = self._paths
        self.__init__()
        return means if paths is None else dict(zip(paths, means))


def _said(paths: list[Any] | None, gradients: list[Tensor]) -> str:
    names = range(len(gradients)) if paths is None else paths
    shown = [f"{name} {g.shape}" for name, g in zip(names, gradients)]
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "") if shown else "none"
