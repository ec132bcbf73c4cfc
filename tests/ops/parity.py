"""What the tests of windowed ops share: random windows, and the same derivative taken here and by PyTorch."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinygradconv as tgc

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-10}


@dataclass(frozen=True)
class Case:
    """One random window problem: shapes, and the keywords of the op."""

    x: tuple[int, ...]
    kernel: tuple[int, int]
    options: dict[str, Any] = field(hash=False)
    outputs: int = 1
    groups: int = 1


@st.composite
def cases(draw, *, channels=(1, 2, 3, 8, 9), images=(0, 1, 2), most=9, groups=(1,), half=False, symmetric=False):
    """Windows that fit: any stride and dilation, padding on each side (`half`: at most half a window; `symmetric`: as torch takes it)."""
    many = draw(st.sampled_from(groups))
    kernel, stride, dilation = (tuple(draw(st.integers(1, n)) for _ in range(2)) for n in (4, 3, 2))
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    limits = [(k if symmetric else e) // 2 if half else 3 for k, e in zip(kernel, span)]
    pads = [(draw(st.integers(0, n)), draw(st.integers(0, n))) for n in limits]
    pads = [(before, before) for before, _ in pads] if symmetric else pads
    least = [max(1, e - sum(pad)) for e, pad in zip(span, pads)]
    size = tuple(draw(st.integers(n, max(n, most))) for n in least)
    x = (draw(st.sampled_from(images)), *size, draw(st.sampled_from(channels)) * many)
    padding = tuple(before for before, _ in pads) if symmetric else tuple(pads)
    return Case(x, kernel, {"stride": stride, "padding": padding, "dilation": dilation}, draw(st.integers(1, 4)) * many, many)


def close(got: Any, expected: Any, factor: float = 1.0) -> None:
    """The same shape, dtype and values, up to rounding in that dtype relative to the largest value."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape and got.dtype == expected.dtype, (got.shape, got.dtype, expected.shape, expected.dtype)
    size = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
    np.testing.assert_allclose(got, expected, rtol=factor * TOLERANCE[got.dtype], atol=factor * TOLERANCE[got.dtype] * size)


Arrays = Sequence[np.ndarray]


def ours(f: Callable[..., Any], arrays: Arrays, g: np.ndarray, weights: Arrays | None = None) -> list[np.ndarray]:
    """[y, ∂/∂each array of Σ g·y], and with `weights` also the derivatives of Σ weights·gradients by each array and by g."""
    xs, seed = [tgc.Tensor(a, requires_grad=True) for a in arrays], tgc.Tensor(g, requires_grad=True)
    y = f(*xs)
    first = tgc.grad(y, xs, seed, create_graph=weights is not None)
    second = []
    if weights is not None:
        total = sum(((d * w).sum() for d, w in zip(first, weights)), tgc.Tensor(np.zeros((), g.dtype)))
        second = tgc.grad(total, [*xs, seed])
    return [t.numpy() for t in (y, *first, *second)]


def theirs(f: Callable[..., Any], arrays: Arrays, g: np.ndarray, weights: Arrays | None = None) -> list[np.ndarray]:
    """`ours`, by PyTorch: f takes and returns torch tensors in our layout."""
    import torch
    xs, seed = [torch.tensor(a, requires_grad=True) for a in arrays], torch.tensor(g, requires_grad=True)
    y = f(*xs)
    first = torch.autograd.grad(y, xs, seed, create_graph=weights is not None, materialize_grads=True)
    second = []
    if weights is not None:
        total = sum((d * torch.tensor(w)).sum() for d, w in zip(first, weights))
        second = torch.autograd.grad(total, [*xs, seed], materialize_grads=True)
    return [t.detach().numpy(force=True) for t in (y, *first, *second)]


def channels_first(x: Any) -> Any:
    """A torch tensor (N, …, C) as (N, C, …), copied: some of torch's backward passes refuse strided views."""
    return x.movedim(-1, 1).contiguous()


def channels_last(x: Any) -> Any:
    """A torch tensor (N, C, …) as (N, …, C)."""
    return x.movedim(1, -1)
