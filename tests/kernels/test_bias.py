"""The bias gradient: hand numbers, torch, accuracy of long sums, and the Cython form against the definition."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels import ACTIVATIONS
from tinygradconv.kernels.bias import reference

from .variants import TOLERANCE, TYPES, assert_close, poisoned, random, variants

MODULES = variants("bias")
EVERY = [reference, *MODULES]
CHANNELS = st.sampled_from([1, 3, 6, 7, 8, 9, 16, 17, 32, 48, 130])


def run(module, g, y, activation, *, kept=True, summed=True):
    """(dz, dbias) of one call into poisoned arrays; what is not asked for is None."""
    dz = poisoned(g.shape, g.dtype) if kept else None
    dbias = poisoned(g.shape[1:], g.dtype) if summed else None
    module.bias_backward(g, y, dz, dbias, activation)
    return dz, dbias


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
def test_two_rows_by_hand(module):
    g, y = np.array([[1.0, np.inf], [2.0, 4.0]]), np.array([[0.5, 0.0], [3.0, 1.0]])
    dz, dbias = run(module, g, y, 1)
    assert dz.tolist() == [[1, 0], [2, 4]] and dbias.tolist() == [3, 4]            # an infinite cotangent stops where y is 0
    dz, dbias = run(module, g[1:], np.array([[0.5, -1.0]]), 2)
    assert dz.tolist() == [[1.5, 0]] and dbias.tolist() == [1.5, 0]
    assert run(module, g, None, 0, kept=False)[1].tolist() == [3, np.inf]


@pytest.mark.parametrize("module", EVERY, ids=lambda m: m.__name__)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradients_are_torchs(module, activation):
    torch = pytest.importorskip("torch")
    x, bias, g = (random(seed, shape, np.float64) for seed, shape in enumerate([(77, 19), (19,), (77, 19)]))
    leaves = [torch.tensor(x, requires_grad=True), torch.tensor(bias, requires_grad=True)]
    y = leaves[0] + leaves[1]
    y = y if activation is None else getattr(torch, activation)(y)
    y.backward(torch.tensor(g))
    for got, leaf in zip(run(module, g, y.detach().numpy(), ACTIVATIONS[activation]), leaves):
        assert_close(got, leaf.grad.numpy(), 1e-12)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("element", TYPES)
@given(M=st.integers(0, 300), C=CHANNELS, activation=st.sampled_from([*ACTIVATIONS.values()]), kept=st.booleans(), summed=st.booleans())
def test_the_compiled_form_is_the_references(module, element, M, C, activation, kept, summed):
    g, y = random(0, (M, C), TYPES[element]), np.tanh(random(1, (M, C), TYPES[element]))
    got = run(module, g, y if activation else None, activation, kept=kept, summed=summed)
    for ours, wanted in zip(got, run(reference, g, y, activation, kept=kept, summed=summed)):
        if wanted is None:
            assert ours is None
        else:
            assert_close(ours, wanted, TOLERANCE[element])


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_a_long_sum_rounds_little(module):
    """A million equal values: one running float32 sum is wrong by 1 %."""
    g = np.full((1 << 20, 3), 0.1, np.float32)
    assert abs(np.cumsum(g[:, 0], dtype=np.float32)[-1] / 104857.6 - 1) > 1e-3              # the checker would notice
    np.testing.assert_allclose(run(module, g, None, 0, kept=False)[1], 104857.6, rtol=1e-6)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("C", [6, 64])
def test_thread_count_changes_no_bit(module, C):
    g, y = random(0, (6001, C), np.float32), random(1, (6001, C), np.float32)
    results = set()
    try:
        for threads in 1, 2, 3:
            module.set_threads(threads)
            results.add(b"".join(array.tobytes() for array in run(module, g, y, 1)))
    finally:
        module.set_threads(1)
    assert len(results) == 1
