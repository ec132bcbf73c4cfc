"""explain.max_pool2d: its numbers against the lecture's and torch's, its text, and that it refuses to agree with a wrong engine."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv import explain
from tinygradconv.backends.cpu import CPUBackend
from tinygradconv.explain import ExplanationError


def lines(steps):
    return str(steps).splitlines()


def test_the_gradient_goes_to_d(backend):
    steps = explain.max_pool2d([[1, 2], [3, 4]], 2)
    assert steps.grad_input.tolist() == [[0, 0], [0, 1]] and steps.y.tolist() == [[4]]
    assert "O11 = max(1, 2, 3, 4) = 4, which is X22" in lines(steps) and "∂E/∂O11 = 1 goes to X22" in lines(steps)


def test_the_smaller_last_region(backend):
    steps = explain.max_pool2d([[0.1, 1, 0.2, 0.1, 0, 0.1]], (1, 3), stride=2, ceil_mode=True)
    assert "O13 = max(0, 0.1) (1 outside X) = 0.1, which is X16" in lines(steps)
    assert "columns ⌈(6 + 2·0 − 3)/2⌉ + 1 = 3" in lines(steps)
    assert [w.value for w in steps.windows] == pytest.approx([1, 0.2, 0.1])
    assert steps.windows[2].winner == (0, 5)


def test_a_cell_that_wins_twice_gets_both_gradients(backend):
    steps = explain.max_pool2d([[1, 5, 2]], (1, 2), stride=1, g=[[3, 4]])
    assert steps.grad_input.tolist() == [[0, 7, 0]]
    assert "∂E/∂X12 = ∂E/∂O11 + ∂E/∂O12 = 3 + 4 = 7" in lines(steps)


def test_the_first_of_equals_wins(backend):
    steps = explain.max_pool2d([[2, 2], [2, 1]], 2)
    assert "O11 = max(2, 2, 2, 1) = 2, which is X11, the first of 3 equals" in lines(steps)
    assert steps.grad_input.tolist() == [[1, 0], [0, 0]]


def test_padding_never_wins(backend):
    steps = explain.max_pool2d([[-1, -2], [-3, -4]], 2, stride=2, padding=1)
    assert steps.y.tolist() == [[-1, -2], [-3, -4]]
    assert "O11 = max(−1) (3 outside X) = −1, which is X11" in lines(steps)


@given(st.data())
def test_the_fields_are_torchs_numbers(data):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(data.draw(st.integers(0, 2 ** 32 - 1)))
    kernel_size = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    options = dict(stride=data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), ceil_mode=data.draw(st.booleans()),
                   padding=tuple(data.draw(st.integers(0, k // 2)) for k in kernel_size), dilation=data.draw(st.integers(1, 2)))
    x = rng.integers(-2, 3, (data.draw(st.integers(1, 2)), 6, 7, data.draw(st.integers(1, 2)))).astype(np.float64)      # ties on purpose
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.nn.functional.max_pool2d(tx.permute(0, 3, 1, 2), kernel_size, **options).permute(0, 2, 3, 1)
    g = rng.normal(size=tuple(ty.shape))
    steps = explain.max_pool2d(x, kernel_size, g=g, **options)
    assert steps.y.tolist() == ty.tolist()
    np.testing.assert_allclose(steps.grad_input, torch.autograd.grad(ty, tx, torch.tensor(g))[0].numpy(), rtol=1e-12, atol=1e-12)


def test_images_and_channels_have_headings():
    steps = explain.max_pool2d(np.arange(16).reshape(2, 2, 2, 2), 2)
    assert [line for line in lines(steps) if line.startswith("image")] == [f"image {n}, channel {c}:" for n in (1, 2) for c in (1, 2)]
    assert steps.y.shape == (2, 1, 1, 2) and explain.max_pool2d(np.arange(8).reshape(2, 2, 2), 2).y.tolist() == [[[6, 7]]]


def test_the_result_is_frozen_and_shows_itself(capsys):
    steps = explain.max_pool2d([[1, 2], [3, 4]], 2)
    assert repr(steps) == str(steps) == steps.text
    steps.show()
    assert capsys.readouterr().out == steps.text + "\n"
    with pytest.raises(dataclasses.FrozenInstanceError):
        steps.text = ""
    with pytest.raises(ValueError, match="read-only"):
        steps.y[0, 0] = 1


# ---- a wrong engine

def spoil(monkeypatch, kernel, output, change):
    run = CPUBackend.run

    def spoiled(self, name, *arguments):
        run(self, name, *arguments)
        if name == kernel:
            change(arguments[output])
    monkeypatch.setattr(CPUBackend, "run", spoiled)


def test_a_wrong_maximum_is_noticed(monkeypatch, backend):
    spoil(monkeypatch, "max_pool2d", 1, lambda y: y.__isub__(1))
    with pytest.raises(ExplanationError, match=r"O11 is 4.0 by hand, but max_pool2d gave 3.0. By hand: O11 = max\(1, 2, 3, 4\) = 4"):
        explain.max_pool2d([[1, 2], [3, 4]], 2)


def test_a_wrong_position_is_noticed(monkeypatch, backend):
    spoil(monkeypatch, "max_pool2d", 2, lambda where: where.__isub__(1))
    with pytest.raises(ExplanationError, match=r"explain.max_pool2d: ∂E/∂X21 is 0 by hand, but max_pool2d's gradient of x gave 1.0"):
        explain.max_pool2d([[1, 2], [3, 4]], 2)


def test_a_gradient_that_is_lost_is_noticed(monkeypatch, backend):
    spoil(monkeypatch, "pool_scatter", 2, lambda x: x.fill(0))
    with pytest.raises(ExplanationError, match="∂E/∂X22 is 1.0 by hand, but max_pool2d's gradient of x gave 0.0"):
        explain.max_pool2d([[1, 2], [3, 4]], 2)


# ---- what it refuses

@pytest.mark.parametrize("x, options, message", [
    (np.ones((100, 100)), {}, r"this would write out 10,000 numbers, more than the limit of 4,000. Crop the input, e.g. x\[:63, :63\]"),
    (np.ones((2, 2, 3000)), {}, "Take fewer channels"),
    (np.ones(4), {}, r"x must have two, three or four axes, \(H, W\), \(H, W, C\) or \(N, H, W, C\), got shape \(4,\)"),
    (np.ones((4, 4)), dict(g=1), r"g is the gradient of the output and must have its shape \(2, 2\), got \(\)"),
    (np.full((2, 2), np.inf), {}, "x must be finite"),
    (np.ones((1, 1)), {}, "a window that spans 2×2 does not fit"),
])
def test_bad_input_says_what_is_wrong(x, options, message):
    with pytest.raises((ValueError, TypeError), match="explain.max_pool2d: .*" + message):
        explain.max_pool2d(x, 2, **options)


def test_the_crop_that_is_suggested_works():
    assert explain.max_pool2d(np.ones((100, 100))[:63, :63], 2).y.shape == (31, 31)
