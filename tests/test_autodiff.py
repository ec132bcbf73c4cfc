"""Reverse mode: what is recorded, what is kept, what is refused, and how deep it goes."""
from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import Tensor
from tinygradconv.autodiff import elementwise, grad, no_grad, primitive


def leaf(*values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def test_gradients_of_a_polynomial_by_hand():
    x = Tensor(3.0, requires_grad=True)
    y = x * x * x - 2 * x
    assert grad(y, x).item() == 3 * 9 - 2
    first = grad(y, x, create_graph=True)
    second = grad(first, x, create_graph=True)
    third = grad(second, x, create_graph=True)
    assert (second.item(), third.item()) == (18, 6)


def test_backward_accumulates_into_leaves_and_can_be_started_anew():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_value_used_twice_gets_both_contributions():
    x = leaf(2.0)
    y = x * 3
    assert grad((y * y + y).sum(), x).tolist() == [(2 * 6 + 1) * 3]


def test_grad_of_an_intermediate_value_and_of_an_unrelated_one():
    x, unrelated = leaf(1.0, 2.0), leaf(5.0)
    middle = x * 2
    gradients = grad((middle * middle).sum(), [middle, x, unrelated])
    assert [g.tolist() for g in gradients] == [[4, 8], [8, 16], [0]]


def test_grad_leaves_no_trace():
    x = leaf(1.0)
    y = (x * x).sum()
    assert grad(y, x).tolist() == grad(y, x).tolist() == [2]
    assert x.grad is None


def test_the_tape_keeps_exactly_what_live_rules_ask_for():
    a, b = leaf(1.0), Tensor(np.array([2.0]))
    assert set((a * b).node.kept) == {"b"}
    assert set((a * leaf(1.0)).node.kept) == {"a", "b"}
    assert set((a + a).node.kept) == set()
    assert set(tgc.tanh(a).node.kept) == {"y"}


def test_only_the_rules_on_the_way_are_run():
    ran = []
    noted = tgc.custom_op(lambda x, w: x * w, name="noted",
                          vjp={"x": lambda g, w: ran.append("x") or g * w, "w": lambda g, x: ran.append("w") or g * x})
    x, w = leaf(2.0), leaf(3.0)
    assert grad(noted(x, w).sum(), x).tolist() == [3]
    assert ran == ["x"]


def test_grad_lets_go_of_what_was_kept_when_told_to():
    x = leaf(1.0)
    y = (x * x).sum()
    assert grad(y, x, retain_graph=False).tolist() == [2]
    with pytest.raises(RuntimeError, match="released"):
        grad(y, x)


def test_each_gradient_is_told_of_once_when_it_is_complete_and_before_older_ops_are_visited():
    """y = c · (b · (a · x)), with b used twice: the first gradients are there before the rules below them have run."""
    ran = []

    @primitive
    def noted(be, x, *, name):
        return x * 1
    noted.vjp(x=lambda g, name: (ran.append(name), g)[1])
    a, b, c, x = leaf(2.0), leaf(3.0), leaf(5.0), leaf(7.0)
    y = noted(noted(noted(a * x, name="a") * b, name="b") * c + b, name="c")
    told = []
    gradients = grad(y, [x, a, b, c, c, leaf(1.0)], on_ready=lambda i, g: told.append((i, g.item(), tuple(ran))))
    assert [(i, value) for i, value, _ in told] == [(3, 42.0), (4, 42.0), (2, 71.0), (1, 105.0), (0, 30.0), (5, 0.0)]
    assert [before for _, _, before in told] == [("c",), ("c",), ("c", "b"), ("c", "b", "a"), ("c", "b", "a"), ("c", "b", "a")]
    assert [g.item() for g in gradients] == [30.0, 105.0, 71.0, 42.0, 42.0, 0.0]


def test_a_gradient_is_told_of_with_its_hooks_and_where_a_consumer_gave_nothing():
    @primitive
    def silent(be, x):
        return x * 0
    silent.vjp(x=lambda g: None)
    a, x = leaf(2.0), leaf(3.0)
    middle = a * x
    a.register_hook(lambda g: g * 10)
    told = {}
    y = middle * a + silent(silent(a) + a * x)
    dmiddle, da = grad(y, [middle, a], on_ready=told.__setitem__)
    assert (told[0].item(), told[1].item()) == (dmiddle.item(), da.item()) == (2.0, 120.0)


def test_no_grad_records_nothing_and_detach_forgets():
    x = leaf(1.0)
    with no_grad():
        assert not (x * 2).requires_grad
        with no_grad(off=False):
            assert (x * 2).requires_grad
    assert not (x.detach() * 2).requires_grad
    assert np.shares_memory(x.detach().data, x.data)


def test_hooks_see_the_complete_gradient_once_and_may_replace_it():
    x = leaf(1.0)
    y = x * 2
    seen = []
    remove = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    z = (y + y * y).sum()
    assert grad(z, x).tolist() == [2 * 10 * (1 + 4)]
    assert seen == [[5]]
    remove()
    grad(z, x)
    assert seen == [[5]]
    with pytest.raises(TypeError, match="constant"):
        Tensor(1.0).register_hook(print)


@pytest.mark.parametrize("returned", [lambda g: g.sum(), lambda g: g.numpy(), lambda g: g.astype("float32"), lambda g: 1.0])
def test_a_hook_gives_a_gradient_like_the_one_it_got(returned):
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(returned)
    with pytest.raises(TypeError, match=r"hook of the result of multiply \(.*test_autodiff.*\) returned .*like .*, float64 \(2,\)"):
        (y * y).sum().backward()
    x.register_hook(returned)
    with pytest.raises(TypeError, match=r"hook of a leaf returned"):
        (x * x).sum().backward()
    assert x.grad is None


def test_backward_needs_one_value_or_a_cotangent():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"y has shape \(2,\).*cotangent"):
        (x * 2).backward()
    (x * 2).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(ValueError, match=r"cotangent has shape \(3,\) but y has shape \(2,\)"):
        grad(x * 2, x, np.ones(3))


def test_what_was_never_recorded_says_so():
    with pytest.raises(ValueError, match="does not depend on any tensor that requires a gradient"):
        Tensor(1.0).backward()
    with pytest.raises(ValueError, match="x does not require a gradient"):
        grad(leaf(1.0).sum(), Tensor(1.0))
    with pytest.raises(TypeError, match="only floating tensors have gradients; this one is int64"):
        Tensor([1, 2], requires_grad=True)


def test_backward_releases_what_it_used_and_says_so_the_second_time():
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match=r"\w+ \(.*test_autodiff.py:\d+\): its kept values were released.*retain_graph"):
        y.backward()
    assert x.grad.tolist() == [4]


def test_a_value_changed_in_place_is_refused_by_op_and_line():
    x, w = leaf(1.0), leaf(2.0)
    y = x * w
    w.data[...] = 3.0
    w.storage.version += 1
    with pytest.raises(RuntimeError, match=r"multiply \(.*test_autodiff.py:\d+\): 'b', of shape \(1,\), was changed in place.*"
                                           r"version 1, recorded at 0"):
        grad(y.sum(), x)


def test_views_share_their_version():
    x = leaf(1.0, 2.0)
    view = x[1:]
    x.storage.version += 1
    assert view.version == 1
    assert (x * 1).version == 0


def test_rules_are_checked_when_they_are_registered():
    @primitive
    def double(be, x, *, times=2):
        return x * times
    with pytest.raises(TypeError, match=r"double has no input 'z'; its inputs are: x"):
        double.vjp(z=lambda g: g)
    with pytest.raises(TypeError, match=r"double.vjp\(x=…\) asks for 'w'; it may ask for: times, wanted, x, x_dtype, x_shape, y"):
        double.vjp(x=lambda g, w: g)


def test_a_rule_of_the_wrong_shape_fails_by_name_unless_elementwise():
    @primitive
    def total(be, x):
        return x.sum()
    total.vjp(x=lambda g: g)
    with pytest.raises(TypeError, match=r"total: the rule for 'x' returned float64 \(\), but x is float64 \(2,\)"):
        total(leaf(1.0, 2.0)).backward()

    @elementwise
    def plus(be, a, b):
        return a + b
    plus.vjp(a=lambda g: g, b=lambda g: g)
    x = leaf(1.0)
    assert grad(plus(x, leaf(1.0, 2.0)).sum(), x).tolist() == [2]


def test_an_op_without_a_rule_says_which_input():
    @primitive
    def mystery(be, x):
        return x * 1
    with pytest.raises(TypeError, match=r"mystery \(.*\) has no derivative rule for 'x'"):
        mystery(leaf(1.0)).backward()


def test_a_custom_op_of_integers_is_floating():
    sine = tgc.custom_op(lambda x: np.sin(x), vjp=lambda g, x: g * tgc.cos(x), name="sine")
    y = sine(Tensor([1, 2]))
    assert y.dtype == np.float32 and np.allclose(y.numpy(), [0.84147098, 0.90929743])
    picked = tgc.custom_op(lambda where, x: x[where],
                           vjp={"x": lambda g, where, x_shape: tgc.scatter_add(tgc.zeros(x_shape, g.dtype), where, g)})
    x = Tensor(np.array([0.5, 1.5]), requires_grad=True)
    y = picked(Tensor([1, 1]), x)
    assert y.tolist() == [1.5, 1.5] and grad(y.sum(), x).tolist() == [0, 2]
    with pytest.raises(TypeError, match="at least one array"):
        tgc.custom_op(lambda *, k: k, vjp=lambda g: g)


def test_custom_op_with_its_own_rule_and_option():
    def scaled(x, *, by=2.0):
        return x * by
    op = tgc.custom_op(scaled, vjp=lambda g, by: g * by)
    x = leaf(1.0)
    assert grad(op(x, by=5.0).sum(), x).tolist() == [5]
    assert grad(op(x).sum(), x).tolist() == [2]


def test_errors_inside_a_rule_carry_the_op_and_the_line():
    op = tgc.custom_op(np.sin, vjp=lambda g, x: g @ x.reshape(7, 7))
    with pytest.raises(ValueError) as caught:
        op(leaf(1.0)).sum().backward()
    assert "in the backward pass of sin, called at" in caught.value.__notes__[0]


@pytest.mark.filterwarnings("ignore:.*encountered.*:RuntimeWarning")
def test_anomaly_names_the_op_and_line_of_the_first_nan():
    x = leaf(0.0, 1.0)
    with tgc.anomaly():
        with pytest.raises(tgc.AnomalyError, match=r"log at .*test_autodiff.py:\d+: finite inputs gave -inf at index \(0,\) of shape"):
            tgc.log(x)
        y = tgc.sqrt(x)
        with pytest.raises(tgc.AnomalyError, match=r"sqrt at .*test_autodiff.py:\d+: in the backward pass .* gave x the gradient inf"):
            y.sum().backward()
    tgc.log(x)                                    # outside the block nothing is checked


@pytest.mark.parametrize("names", [{}, {"__name__": None}, {"__name__": "tinygradconvoluted"}])
def test_code_without_a_module_of_its_own_is_the_users(names):
    """exec, and what embeds Python, run code whose module has no name, or one that is no text."""
    here = {"x": leaf(2.0), **names}
    exec(compile("\ny = x * x", "typed", "exec"), here)
    assert here["y"].node.line == "typed:2"


def test_a_graph_a_hundred_thousand_deep_overflows_no_stack():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + x
    grads = grad(y.sum(), x)
    assert grads.tolist() == [100_001]
    y.sum().backward()
    alive = weakref.ref(y)
    del y
    gc.collect()
    assert alive() is None


def test_a_sum_of_ten_thousand_leaves_reaches_each_once():
    """Leaves do not wait in the heap of ops; they are what is left when it is empty."""
    xs, met = [leaf(1.0) for _ in range(10_000)], []
    for x in xs:
        x.register_hook(lambda g, x=x: met.append(x))
    y = xs[0]
    for x in xs[1:]:
        y = y + x
    (y * 3).backward()
    assert {x.grad.item() for x in xs} == {3.0}
    assert len(met) == 10_000 and set(met) == set(xs)


def test_nothing_is_kept_alive_by_a_cycle():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = tgc.tanh(x)                            # keeps its own result
        alive = weakref.ref(y)
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_mixed_devices_are_refused(monkeypatch):
    class FarArray(np.ndarray):
        """An array of another device."""

    class Elsewhere:
        name = "elsewhere"

    namespace = tgc.Primitive.with_byproducts.__globals__
    known = namespace["backend_of"]
    monkeypatch.setitem(namespace, "backend_of", lambda array: Elsewhere if type(array) is FarArray else known(array))
    with pytest.raises(ValueError, match=r"add: a is on cpu but b is on elsewhere. Move one: b.to\('cpu'\)"):
        leaf(1.0, 2.0) + Tensor.of(np.ones(2).view(FarArray))
    with pytest.raises(RuntimeError, match=r"to\('cuda'\): "):
        leaf(1.0).to("cuda")
