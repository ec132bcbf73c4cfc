"""explain.conv2d: its numbers against the lecture's and torch's, its text, and that it refuses to agree with a wrong engine."""
from __future__ import annotations

import dataclasses
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels import KERNELS

import tinygradconv as tgc
from tinygradconv import explain
from tinygradconv.backends.cpu import CPUBackend
from tinygradconv.explain import ExplanationError

M = [[3, 0, 1, 2, 4, 7], [1, 5, 8, 9, 3, 1], [2, 7, 2, 5, 1, 3], [0, 1, 3, 1, 7, 8], [4, 2, 1, 6, 2, 8], [2, 4, 5, 2, 3, 9]]
F = [[1, 0, -1]] * 3
X3, F2, G2 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 2], [3, 4]], [[5, 6], [7, 8]]


def lines(steps):
    return str(steps).splitlines()


def test_the_lectures_windows_in_the_lectures_words(backend):
    steps = explain.conv2d(M, F)
    assert steps.y.tolist()[0] == [-5, -4, 3, 5]
    assert "O11 = 3·1 + 1·1 + 2·1 + 0·0 + 5·0 + 7·0 + 1·(−1) + 8·(−1) + 2·(−1) = −5" in lines(steps)
    assert "O44 = 1·1 + 6·1 + 2·1 + 7·0 + 2·0 + 3·0 + 8·(−1) + 8·(−1) + 9·(−1) = −16" in lines(steps)
    assert "rows    (6 + 2·0 − 3)/1 + 1 = 4" in lines(steps)
    assert any(re.fullmatch(r"X \* F  = .* 2  7  2  5  1  3   \*    1   0  −1   =     0   −2   −4   −7", line) for line in lines(steps))


def test_the_gradients_in_the_lectures_words(backend):
    steps = explain.conv2d(X3, F2, g=G2)
    assert "∂E/∂F12 = ∂E/∂O11·X12 + ∂E/∂O12·X13 + ∂E/∂O21·X22 + ∂E/∂O22·X23 = 5·2 + 6·3 + 7·5 + 8·6 = 111" in lines(steps)
    assert "∂E/∂X23 = F22·∂E/∂O12 + F12·∂E/∂O22 = 4·6 + 2·8 = 40" in lines(steps)              # what the slide misprints
    assert steps.grad_weight.tolist() == [[85, 111], [163, 189]]
    assert steps.grad_input.tolist() == [[5, 16, 12], [22, 60, 40], [21, 52, 32]]
    assert steps.g.tolist() == G2 and steps.grad_bias is None


def test_red_green_and_blue_add_up_as_on_the_slide(backend):
    x = np.stack([[[156, 155], [153, 154]], [[167, 166], [164, 165]], [[163, 162], [160, 161]]], axis=-1)
    w = np.stack([[[-1, -1, 1], [0, 1, -1], [0, 1, 1]], [[1, 0, 0], [1, -1, -1], [1, 0, -1]], [[0, 1, 1], [0, 1, 0], [1, -1, 1]]], axis=-1)
    steps = explain.conv2d(x, w, 1, padding=((1, 0), (1, 0)))
    assert steps.y[0, 0] == -25
    assert "  O11 = 308 + (−498) + 164 + 1 = −25" in lines(steps)
    assert "  channel 2: 0·1 + 0·1 + 0·1 + 0·0 + 167·(−1) + 164·0 + 0·0 + 166·(−1) + 165·(−1) = −498" in lines(steps)
    assert "∂E/∂b = 1" in lines(steps) and steps.grad_bias.tolist() == 1
    assert "X with its padding:" in lines(steps)


def test_the_gradient_of_the_bias_is_a_sum(backend):
    steps = explain.conv2d(X3, F2, 1, g=G2)
    assert "∂E/∂b = 5 + 6 + 7 + 8 = 26" in lines(steps) and steps.grad_bias.tolist() == 26
    assert "O11 = 1·1 + 4·3 + 2·2 + 5·4 + 1 = 38" in lines(steps)


def evaluate(products):
    """'3·1 + 8·(−1)' as an exact number; a bare number stands for itself."""
    value = Fraction(0)
    for term in products.replace("−", "-").split(" + "):
        a, _, b = term.partition("·")
        value += Fraction(a.strip("()")) * (Fraction(b.strip("()")) if b else 1)
    return value


@given(st.data())
def test_every_printed_line_is_true(data):
    """The text is parsed and computed again with fractions: what is read is right by itself, whatever the fields hold."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2 ** 32 - 1)))
    channels, filters, images = (data.draw(st.integers(1, 2)) for _ in range(3))
    shape = (images, data.draw(st.integers(2, 4)), data.draw(st.integers(2, 4)), channels)
    steps = explain.conv2d(rng.integers(-9, 10, shape), rng.integers(-9, 10, (2, 2, channels, filters)), rng.integers(-9, 10, filters),
                           stride=data.draw(st.integers(1, 2)), padding=data.draw(st.integers(0, 1)))
    checked = 0
    for line in re.sub(r"\n {4,}", " ", str(steps)).splitlines():                    # wrapped lines joined again
        if re.match(r" *(O\d|∂E/∂|channel|image|filter)", line):
            sums = [evaluate(part) for part in line.split(": ")[-1].split(" = ") if re.fullmatch(r"[−\d·() +]+", part)]
            assert len(set(sums)) <= 1, line
            checked += len(sums) > 1
    assert checked >= len(steps.outputs) + len(steps.weight_sums)


def torch_convolution(torch, x, w, bias, rng, **options):
    """(upstream gradient, [y, gradients of x, w and bias]) in our layout; torch works on contiguous tensors in its own."""
    arrays = x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), bias
    x, w, bias = (torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in arrays)
    y = torch.nn.functional.conv2d(x, w, bias, **options)
    g = rng.normal(size=tuple(y.shape))
    dx, dw, dbias = (a.numpy() for a in torch.autograd.grad(y, (x, w, bias), torch.tensor(g)))
    return g.transpose(0, 2, 3, 1), [y.detach().numpy().transpose(0, 2, 3, 1), dx.transpose(0, 2, 3, 1), dw.transpose(2, 3, 1, 0), dbias]


@given(st.data())
def test_the_fields_are_torchs_numbers(data):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(data.draw(st.integers(0, 2 ** 32 - 1)))
    groups, per_group = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    kernel_size = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    options = dict(stride=data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
                   padding=data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
                   dilation=data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2))), groups=groups)
    shapes = (data.draw(st.integers(1, 2)), 3, 5, 2), (*kernel_size, 2 // groups, groups * per_group), (groups * per_group,)
    x, w, bias = (rng.normal(size=shape) for shape in shapes)
    g, expected = torch_convolution(torch, x, w, bias, rng, **options)
    steps = explain.conv2d(x, w, bias, g=g, **options)
    for got, wanted in zip((steps.y, steps.grad_input, steps.grad_weight, steps.grad_bias), expected):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_axes_are_those_that_were_given():
    x, w = np.ones((4, 5, 2)), np.ones((2, 2, 2, 3))
    steps = explain.conv2d(x, w, [1, 2, 3])
    assert (steps.y.shape, steps.g.shape, steps.grad_input.shape, steps.grad_weight.shape, steps.grad_bias.shape) == \
        ((3, 4, 3), (3, 4, 3), (4, 5, 2), (2, 2, 2, 3), (3,))
    assert explain.conv2d(x[None], w[..., 0]).y.shape == (1, 3, 4)
    assert explain.conv2d(x[..., 0], [[1]], 2).grad_bias.shape == ()
    assert explain.conv2d(tgc.Tensor([[1.0, 2.0]]), tgc.Tensor([[2.0]])).y.tolist() == [[2, 4]]


def test_the_result_is_frozen_and_shows_itself(capsys):
    steps = explain.conv2d(X3, F2)
    assert repr(steps) == str(steps) == steps.text
    assert steps.show() is None and capsys.readouterr().out == steps.text + "\n"
    with pytest.raises(dataclasses.FrozenInstanceError):
        steps.y = 0
    for array in (steps.y, steps.g, steps.grad_input, steps.grad_weight):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_it_works_where_nothing_is_recorded():
    with tgc.no_grad():
        assert explain.conv2d(X3, F2).grad_input[0, 0] == 1


def test_strides_dilation_and_uncovered_cells_are_said():
    steps = explain.conv2d([[1, 2, 3, 4]], [[1]], stride=3)
    assert "∂E/∂X12 = 0: no window covers it" in lines(steps)
    assert "∂E/∂O with the zeros around it and between its values:" in lines(steps) and "1  0  0  1" in lines(steps)
    assert "columns ⌊(5 + 2·0 − 2)/2⌋ + 1 = 2" in lines(explain.conv2d([[1, 2, 3, 4, 5]], [[1, 1]], stride=2))
    dilated = explain.conv2d(np.eye(3, dtype=int), [[1, 2], [3, 4]], dilation=2)
    assert dilated.y.tolist() == [[5]] and "The cells of a window lie 2 rows and 2 columns apart: F spans 3×3." in lines(dilated)


def test_fractions_have_four_digits_and_whole_numbers_all_of_theirs():
    steps = explain.conv2d([[1 / 3, 123456]], [[1, 1]])
    assert "O11 = 0.3333·1 + 123456·1 = 1.235e+05" in lines(steps)
    assert lines(steps)[-1].startswith("Numbers are shown with four significant digits")
    large = str(explain.conv2d([[2 ** 24 + 1]], [[1]]))                              # float32 does not hold it
    assert "16777217·1 = 16777217" in large and "significant" not in large


# ---- a wrong engine

def spoil(monkeypatch, kernel, change):
    """Let one kernel fill its output and then change it."""
    run, row = CPUBackend.run, KERNELS[kernel]
    output = [name for name in row.arguments if name != "workspace"].index(row.fills[0])        # the back end brings the workspace

    def spoiled(self, name, *arguments, **kept):
        run(self, name, *arguments, **kept)
        if name == kernel:
            change(arguments[output])
    monkeypatch.setattr(CPUBackend, "run", spoiled)


def wrong_by_a_thousandth(array):
    array *= 1.001


def one_cell_off(array):
    array.reshape(-1)[-1] += 1


def not_a_number(array):
    array[...] = np.nan


@pytest.mark.parametrize("change", [wrong_by_a_thousandth, one_cell_off, not_a_number])
@pytest.mark.parametrize("kernel, named", [("conv2d_forward", r"O\d+ is \S+ by hand, but conv2d gave"),
                                           ("conv2d_grad_input", r"∂E/∂X\d+ is \S+ by hand, but conv2d's gradient of x gave"),
                                           ("conv2d_grad_weight", r"∂E/∂F\d+ is \S+ by hand, but conv2d's gradient of w gave")])
def test_a_wrong_kernel_is_noticed(monkeypatch, backend, kernel, named, change):
    spoil(monkeypatch, kernel, change)
    with pytest.raises(ExplanationError, match="explain.conv2d: " + named):
        explain.conv2d(M, F)


def test_the_error_names_both_numbers(monkeypatch):
    spoil(monkeypatch, "conv2d_forward", one_cell_off)
    with pytest.raises(ExplanationError) as caught:
        explain.conv2d(X3, F2)
    assert str(caught.value) == ("explain.conv2d: O22 is 77.0 by hand, but conv2d gave 78.0. "
                                 "By hand: O22 = 5·1 + 8·3 + 6·2 + 9·4 = 77")


def test_a_float32_kernel_may_round():
    rng = np.random.default_rng(0)
    explain.conv2d(rng.normal(size=(9, 9, 3)).astype(np.float32) * 1e4, rng.normal(size=(3, 3, 3)).astype(np.float32))


# ---- what it refuses

@pytest.mark.parametrize("arguments, options, message", [
    ((np.ones((30, 30)), np.ones((3, 3))), {},
     r"this would write out 7,056 products, more than the limit of 4,000. Crop the input, e.g. x\[:23, :23\]"),
    ((np.ones((2, 30, 40, 1)), np.ones((3, 3))), dict(padding=1), r"21,600 products, .*, e.g. x\[:, :14, :14\]"),
    ((np.ones((3, 3, 600)), np.ones((3, 3, 600))), dict(padding=1), "Take fewer channels, fewer filters or a smaller window"),
    ((np.ones(3), F), {}, r"x must have two, three or four axes, \(H, W\), \(H, W, C\) or \(N, H, W, C\), got shape \(3,\)"),
    ((M, np.ones(3)), {}, r"w must have two, three or four axes, \(kh, kw\)"),
    ((M, F), dict(g=[[1, 2]]), r"g is the gradient of the output and must have its shape \(4, 4\), got \(1, 2\)"),
    (([[np.nan]], [[1]]), {}, "x must be finite to be explained, and holds NaN or infinity"),
    (([["a"]], [[1]]), {}, "x must be a tensor, an array or nested lists of numbers; got list"),
    (([[1]], F), {}, "a window that spans 3×3 does not fit"),
])
def test_bad_input_says_what_is_wrong(arguments, options, message):
    with pytest.raises((ValueError, TypeError), match="explain.conv2d: .*" + message):
        explain.conv2d(*arguments, **options)


def test_the_crop_that_is_suggested_works():
    x = np.ones((30, 30))
    assert explain.conv2d(x[:23, :23], np.ones((3, 3))).y.shape == (21, 21)


def test_shapes_that_do_not_fit_together_are_the_ops_error():
    with pytest.raises(ValueError, match="conv2d: .*3.*"):
        explain.conv2d(np.ones((4, 4, 3)), np.ones((2, 2)))
