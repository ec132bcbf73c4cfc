"""remat gives the same numbers and keeps less."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import Tensor
from tinygradconv.autodiff import grad
from tinygradconv.gradcheck import gradcheck
from tinygradconv.remat import Counter, remat, replaying


def two_layers(x, w):
    return tgc.tanh(tgc.tanh(x @ w) @ w)


def kept_values(y):
    """The values kept by all nodes behind y, each array counted once."""
    seen, stack, arrays = set(), [y.node], {}
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        arrays.update({id(t.data): t.size for t, _ in (node.kept or {}).values()})
        stack.extend(node.parents)
    return sum(arrays.values())


@pytest.mark.parametrize("wrap", [remat, lambda f: remat(remat(f)), lambda f: remat(lambda x, w: remat(f)(x, w) * 1.0)])
def test_value_and_gradients_of_two_orders_are_the_same(rng, wrap):
    x, w = (Tensor(rng.standard_normal((3, 3)), requires_grad=True) for _ in range(2))
    results = []
    for f in (two_layers, wrap(two_layers)):
        y = f(x, w)
        first = grad((y * y).sum(), [x, w], create_graph=True)
        second = grad((first[0] * first[0]).sum() + (first[1] ** 3).sum(), [x, w])
        results.append([t.numpy() for t in (y, *first, *second)])
    for plain, again in zip(*results):
        np.testing.assert_allclose(plain, again, rtol=1e-13)          # the second order adds the same terms in another order
    gradcheck(wrap(two_layers), [x, w])


def test_tensors_that_the_function_closes_over_get_their_gradients(rng):
    x, w = (Tensor(rng.standard_normal((2, 2)), requires_grad=True) for _ in range(2))
    scaled = w * 2                                           # an intermediate value as well as a leaf
    remat(lambda x: tgc.tanh(x @ scaled) @ w)(x).sum().backward(retain_graph=True)
    plain = grad((tgc.tanh(x @ scaled) @ w).sum(), [x, w])
    np.testing.assert_array_equal(x.grad, plain[0])
    np.testing.assert_array_equal(w.grad, plain[1])


def test_hooks_run_once():
    x = Tensor(np.array([1.0]), requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    remat(lambda y: y * y)(y).sum().backward()
    assert seen == [4.0]


def test_it_keeps_less(rng):
    x, w = (Tensor(rng.standard_normal((8, 8)), requires_grad=True) for _ in range(2))

    def deep(x):
        for _ in range(10):
            x = tgc.tanh(x @ w)
        return x
    assert kept_values(deep(x)) >= 10 * 64
    assert kept_values(remat(deep)(x)) == 0


def test_side_effects_happen_once_and_counters_repeat():
    counter, calls, effects = Counter(), [], []

    def noisy(x):
        number = counter.advance()
        calls.append(number)
        if not replaying():
            effects.append(number)
        return x * float(number + 1)

    x = Tensor(np.array([1.0]), requires_grad=True)
    y = remat(lambda x: noisy(remat(noisy)(x)))(x)
    y.sum().backward()
    assert x.grad.tolist() == [1 * 2]
    assert sorted(calls) == [0, 0, 0, 1, 1] or sorted(calls) == [0, 0, 1, 1]
    assert effects == [0, 1] and counter.value == 2


def test_without_recording_it_is_the_function_itself():
    with tgc.no_grad():
        assert remat(tgc.tanh)(Tensor(0.0)).node is None
    assert remat(tgc.tanh)(Tensor(0.0)).node is None


def test_an_update_before_backward_is_refused():
    w = Tensor(np.array([2.0]), requires_grad=True)
    y = remat(lambda x: tgc.tanh(x * w))(Tensor(np.array([1.0]), requires_grad=True))
    w.storage.version += 1
    with pytest.raises(RuntimeError, match=r"remat\(.*\): a tensor that it read was changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("wrap", [remat, lambda f: remat(lambda x: remat(f)(x) * 1.0)])
@pytest.mark.parametrize("changed", ["closed over", "an input", "behind a view"])
def test_an_update_of_what_it_read_but_no_rule_keeps_is_refused(wrap, changed):
    b, x = Tensor(np.array([0.5, 0.5]), requires_grad=True), Tensor(np.array([1.0, -1.0]), requires_grad=True)
    view = b[::-1]
    y = wrap(lambda x: tgc.relu(x + (view if changed == "behind a view" else b)))(x)      # neither + nor relu keeps x or b
    moved = x if changed == "an input" else b
    moved.data += 2                                          # the second run would open the closed gate
    moved.storage.version += 1
    with pytest.raises(RuntimeError, match="was changed in place"):
        y.sum().backward()


def test_anomaly_names_the_op_within():
    x = Tensor(np.array([0.0, 1.0]), requires_grad=True)
    with tgc.anomaly(), pytest.raises(tgc.AnomalyError, match=r"sqrt at .*test_remat.py:\d+: in the backward pass"):
        remat(lambda x: tgc.sqrt(x) * 2.0)(x).sum().backward()


def test_it_must_return_one_tensor():
    with pytest.raises(TypeError, match="must return one Tensor, got tuple"):
        remat(lambda x: (x, x))(Tensor(1.0))
