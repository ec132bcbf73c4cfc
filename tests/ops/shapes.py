"""Random shapes, and values for them, for the tests of ops that work on any tensor."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.ops import parity

lengths = st.sampled_from([0, 1, 1, 2, 3, 5])
shapes = st.lists(lengths, max_size=4).map(tuple)
some = st.lists(st.sampled_from([1, 2, 3, 5]), max_size=4).map(tuple)        # no length 0


@st.composite
def broadcasting(draw, count=2):
    """`count` shapes that broadcast against one another: some lengths are 1, some leading axes are missing."""
    full = draw(shapes)
    return [tuple(draw(st.sampled_from([n, n, 1])) for n in full)[draw(st.integers(0, len(full))) if full and draw(st.booleans()) else 0:]
            for _ in range(count)]


@st.composite
def with_axis(draw, of=some):
    """(shape, axis, keepdims) for a reduction: None, one axis, or several, some counted from the end."""
    shape = draw(of)
    axes = draw(st.lists(st.sampled_from(range(len(shape))), unique=True)) if shape else []
    axes = tuple(i - len(shape) if draw(st.booleans()) else i for i in axes)
    return shape, draw(st.sampled_from([None, axes, axes[0] if axes else None])), draw(st.booleans())


def close(got: Any, expected: Any, factor: float = 1.0) -> None:
    """parity.close, and for bool and integers exactly the same."""
    if np.asarray(expected).dtype.kind == "f":
        return parity.close(got, expected, factor)
    assert np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(np.asarray(got), expected, strict=True)


def normal(*shapes_: Sequence[int], seed: int = 0) -> list[np.ndarray]:
    """One float64 array of normal numbers per shape."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes_]


def assert_parity(f: Callable[..., Any], torch_f: Callable[..., Any], arrays: Sequence[np.ndarray], *, second: bool = True,
                  factor: float = 1.0) -> None:
    """Value, gradients and (`second`) second derivatives of f agree with those of `torch_f`, for random cotangents."""
    import torch
    g = np.random.default_rng(1).normal(size=tuple(torch_f(*[torch.tensor(a) for a in arrays]).shape))
    weights = normal(*[a.shape for a in arrays], seed=2) if second else None
    for i, (got, expected) in enumerate(zip(parity.ours(f, arrays, g, weights), parity.theirs(torch_f, arrays, g, weights))):
        try:
            close(got, expected, factor)
        except AssertionError as problem:
            raise AssertionError(f"result {i} of y, gradients of {len(arrays)} inputs, second derivatives: {problem}") from None
