"""The checker of rules, and planted errors that it must find."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.gradcheck import GradcheckError, gradcheck


def test_a_right_rule_passes(rng):
    gradcheck(tgc.tanh, [rng.standard_normal((2, 3))])
    gradcheck(lambda a, b: tgc.exp(a) * b, [rng.standard_normal((2, 1)), rng.standard_normal(3)])


def test_a_rule_wrong_by_a_thousandth_is_noticed():
    broken = tgc.custom_op(np.sin, vjp=lambda g, x: 1.001 * g * tgc.cos(x))
    with pytest.raises(GradcheckError, match=r"sin: d/dx: expected 0\.5403.* got 0\.5408"):
        gradcheck(broken, [1.0], order=1)


def test_a_second_order_rule_wrong_by_a_thousandth_is_noticed():
    broken = tgc.custom_op(np.cos, vjp=lambda g, x: -1.001 * g * tgc.sin(x))
    sine = tgc.custom_op(np.sin, vjp=lambda g, x: g * broken(x))
    gradcheck(sine, [1.0], order=1)
    with pytest.raises(GradcheckError, match=r"sin: second order, d/dx"):
        gradcheck(sine, [1.0], order=2)


def test_a_statistic_treated_as_a_constant_is_noticed(rng):
    def centred(x):
        return (x - x.mean().detach()) ** 2
    with pytest.raises(GradcheckError):
        gradcheck(centred, [rng.standard_normal(4)], order=1)


def test_one_wrong_entry_of_many_is_named():
    def pick(x):
        return x * tgc.Tensor(np.array([1.0, 1.0, 1.0]))
    crooked = tgc.custom_op(lambda x: x * 1.0, vjp=lambda g, x: g * np.array([1.0, 1.0, 1.001]), name="crooked")
    gradcheck(pick, [np.ones(3)])
    with pytest.raises(GradcheckError, match=r"crooked: d/dx\[2\]"):
        gradcheck(crooked, [np.ones(3)], order=1)


def test_integers_are_not_differentiated_and_nothing_to_do_is_an_error():
    gradcheck(lambda x, i: x[i], [np.array([1.0, 2.0]), np.array([0, 1, 1])])
    with pytest.raises(ValueError, match="no floating input"):
        gradcheck(lambda i: i, [np.array([1])])
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        gradcheck(tgc.tanh, [1.0], order=3)
