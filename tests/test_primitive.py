"""Primitives with inputs that may be None, rules that are told what is wanted, and layouts of weights that are kept."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import Tensor, gradcheck
from tinygradconv.autodiff import Primitive, grad, no_grad, primitive
from tinygradconv.backends import ABSTRACT
from tinygradconv.remat import remat


def leaf(*values):
    return Tensor(np.array(values, np.float64), requires_grad=True)


def make_scaled():
    """y = x · w + bias, bias optional, and the list of what its joint rule was asked for."""
    asked = []

    @primitive(optional=("bias",))
    def scaled(be, x, w, bias):
        return x * w if bias is None else x * w + bias

    def rule(g, x, w, bias, bias_shape, wanted):
        asked.append((wanted, bias is None, bias_shape))
        found = {"x": lambda: g * w, "w": lambda: g * x, "bias": lambda: g * 1.0}
        return {name: found[name]() for name in wanted}
    return scaled.joint_vjp(rule), asked


def test_an_optional_input_may_be_none():
    scaled, _ = make_scaled()
    x, w, bias = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    assert scaled(x, w, None).tolist() == [3, 8]
    assert scaled(x, w, bias).tolist() == [8, 14]
    y = scaled(x, w, None)
    assert [g.tolist() for g in grad(y.sum(), [x, w])] == [[3, 4], [1, 2]]
    assert set(y.node.kept) == {"x", "w"} and y.node.parents[2] is None
    gradcheck(lambda x, w: scaled(x, w, None), [x, w])
    gradcheck(scaled, [x, w, bias])


def test_an_input_that_is_not_optional_may_not_be_none():
    scaled, _ = make_scaled()
    with pytest.raises(TypeError, match="scaled: w must be a tensor, an array or a number; got NoneType"):
        scaled(leaf(1.0), None, None)


def test_a_joint_rule_is_told_what_is_wanted():
    scaled, asked = make_scaled()
    x, w, bias = leaf(1.0), leaf(3.0), leaf(5.0)
    y = scaled(x, w, bias).sum()
    grad(y, [w, bias])
    grad(y, x)
    grad(scaled(x, Tensor([3.0], "float64"), None).sum(), x)
    scaled(x, w, None).sum().backward()
    assert asked == [(("w", "bias"), False, (1,)), (("x",), False, (1,)), (("x",), True, None), (("x", "w"), True, None)]


def test_a_rule_for_one_input_is_told_too():
    @primitive
    def product(be, x, w):
        return x * w
    seen = []
    product.vjp(x=lambda g, w, wanted: seen.append(wanted) or g * w, w=lambda g, x: g * x)
    x, w = leaf(2.0), leaf(3.0)
    grad(product(x, w).sum(), x)
    assert seen == [("x",)]


@pytest.mark.parametrize("returned, said", [
    ({"x": None}, r"scaled: the joint rule returned nothing for 'w', which is wanted; it returned: x"),
    (None, r"scaled: the joint rule returned None of type NoneType; it returns a dict from the names of the inputs .*\(x, w\)")])
def test_a_joint_rule_returns_what_is_wanted(returned, said):
    scaled, _ = make_scaled()
    scaled.joint_vjp(lambda g: returned)
    with pytest.raises(TypeError, match=said):
        scaled(leaf(1.0), leaf(2.0), None).sum().backward()


@pytest.mark.filterwarnings("ignore:.*encountered.*:RuntimeWarning")
def test_none_passes_through_remat_and_anomaly_mode():
    scaled, _ = make_scaled()
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = remat(lambda x, w: scaled(x, w, None))(x, w)
    assert [g.tolist() for g in grad(y.sum(), [x, w])] == [[3, 4], [1, 2]]
    with tgc.anomaly(), pytest.raises(tgc.AnomalyError, match=r"scaled at .*test_primitive.py:\d+: finite inputs gave inf"):
        scaled.joint_vjp(lambda g: {})
        scaled(Tensor([1e200], "float64"), Tensor([1e200], "float64"), None)


@pytest.mark.filterwarnings("ignore:.*encountered.*:RuntimeWarning")
def test_anomaly_mode_checks_only_what_is_wanted():
    @primitive(optional=("b",))
    def root(be, a, b):
        return np.sqrt(a)
    root.joint_vjp(lambda g, y, wanted: {name: g / (2 * y) for name in wanted})
    with tgc.anomaly(), pytest.raises(tgc.AnomalyError, match=r"root at .*: in the backward pass .* gave a the gradient inf"):
        root(leaf(0.0), None).sum().backward()


def test_an_absent_input_has_no_device():
    scaled, _ = make_scaled()
    assert scaled(Tensor.of(ABSTRACT.empty((2,), np.float64)), Tensor.of(ABSTRACT.empty((2,), np.float64)), None).device == "abstract"


def make_packing():
    """An op that packs w, and the list of the dicts that its forward pass was handed."""
    handed = []

    @primitive(packs="w")
    def weigh(be, x, w, *, times=1, packed):
        handed.append(packed)
        if packed is not None:
            packed.setdefault("layout", w.copy())
        return x * (w if packed is None else packed["layout"]) * times
    weigh.vjp(x=lambda g, w, times: g * w * times, w=lambda g, x, times: g * x * times)
    return weigh, handed


def test_layouts_are_kept_until_the_weights_change():
    weigh, handed = make_packing()
    x, w = Tensor([2.0]), Tensor([3.0], requires_grad=True)
    with no_grad():
        assert weigh(x, w).item() == 6 and weigh(x, w, times=2).item() == 12
        assert handed[0] is handed[1] and set(handed[0]) == {"layout"}
        w.data[...] = 5.0
        w.storage.version += 1
        assert weigh(x, w).item() == 10
    assert handed[2] is not handed[0]


def test_nothing_is_kept_for_a_recorded_call():
    weigh, handed = make_packing()
    x, w = Tensor([2.0]), Tensor([3.0], requires_grad=True)
    y = weigh(x, w)
    weigh(x, w.detach())
    assert handed[0] is None and handed[1] == {"layout": 3.0}
    assert grad(y, w).item() == 2 and "packed" not in y.node.options
    gradcheck(weigh, [leaf(2.0), leaf(3.0)])


def test_views_of_the_same_weights_have_layouts_of_their_own():
    weigh, _ = make_packing()
    w = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert weigh(1.0, w).tolist() == [[1, 2], [3, 4]]
    assert weigh(1.0, w.permute_dims(1, 0)).tolist() == [[1, 3], [2, 4]]
    assert weigh(1.0, w[1]).tolist() == [3, 4]
    assert weigh(1.0, w[0]).tolist() == [1, 2]


def test_packed_is_no_option():
    weigh, _ = make_packing()
    assert weigh.options == ("times",)
    with pytest.raises(TypeError, match=r"weigh\(\) got 'packed'; its parameters are: x, w, times"):
        weigh(1.0, 1.0, packed={})
    with pytest.raises(TypeError, match="weigh.vjp.* asks for 'packed'"):
        weigh.vjp(x=lambda g, packed: g)


def test_marks_name_inputs():
    for marks in ({"optional": ("z",)}, {"packs": "z"}):
        with pytest.raises(TypeError, match="f has no input 'z'; its inputs are: x, w"):
            Primitive(lambda be, x, w, *, packed=None: x, name="f", **marks)
    with pytest.raises(TypeError, match="a promoted input cannot be optional"):
        Primitive(lambda be, x: x, name="f", elementwise=True, optional=("x",))
