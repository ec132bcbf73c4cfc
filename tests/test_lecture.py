"""The numbers printed in the lecture on convolutional networks, as tests of the engine: windows, gradients and pooling.

Products are written as the slides print them; docs/lecture.md lists what the slides misprint, and why. The networks are in
test_lecture_networks.py.
"""
from __future__ import annotations

import re

import numpy as np
import pytest

from tinygradconv import Tensor, grad
from tinygradconv.geometry import output_size
from tinygradconv.ops.adaptive import channel_max_pool
from tinygradconv.ops.conv import conv2d
from tinygradconv.ops.pool import avg_pool2d, distance_pool2d, lp_pool2d, max_pool2d, sum_pool2d

pytestmark = pytest.mark.usefixtures("backend")


def image(rows):
    """A matrix as x (1, H, W, 1)."""
    return Tensor(np.array(rows, np.float32)[None, :, :, None])


def kernel(rows):
    """A matrix as w (kh, kw, 1, 1)."""
    return Tensor(np.array(rows, np.float32)[:, :, None, None])


def plain(y):
    """y (1, H, W, 1) as nested lists."""
    return y.numpy()[0, :, :, 0].tolist()


def factors(text):
    """'3*1 + 8*(-1)' as [(3, 1), (8, -1)]."""
    return [tuple(int(f.strip("()")) for f in term.split("*")) for term in text.split(" + ")]


def total(text):
    return sum(a * b for a, b in factors(text))


def by_columns(cells):
    """Nine cells in the slides' order, column by column, as a 3×3 matrix."""
    return np.reshape(cells, (3, 3)).T


# ---- the 6×6 * 3×3 convolution with stride 1

M = np.array([[3, 0, 1, 2, 4, 7],
              [1, 5, 8, 9, 3, 1],
              [2, 7, 2, 5, 1, 3],
              [0, 1, 3, 1, 7, 8],
              [4, 2, 1, 6, 2, 8],
              [2, 4, 5, 2, 3, 9]])
F = np.array([[1, 0, -1]] * 3)

PRINTED = {                                    # the six windows that the slides work out
    (0, 0): "3*1 + 1*1 + 2*1 + 0*0 + 5*0 + 7*0 + 1*(-1) + 8*(-1) + 2*(-1)",
    (0, 1): "0*1 + 5*1 + 7*1 + 1*0 + 8*0 + 2*0 + 2*(-1) + 9*(-1) + 5*(-1)",
    (0, 2): "1*1 + 8*1 + 2*1 + 2*0 + 9*0 + 5*0 + 4*(-1) + 3*(-1) + 1*(-1)",
    (0, 3): "2*1 + 9*1 + 5*1 + 4*0 + 3*0 + 1*0 + 7*(-1) + 1*(-1) + 3*(-1)",
    (1, 1): "5*1 + 7*1 + 1*1 + 8*0 + 2*0 + 3*0 + 9*(-1) + 5*(-1) + 1*(-1)",
    (3, 3): "1*1 + 6*1 + 2*1 + 7*0 + 2*0 + 3*0 + 8*(-1) + 8*(-1) + 9*(-1)",
}
# A window's first column less its third; the second counts zero times.
CM = [[3 + 1 + 2 - 1 - 8 - 2, 0 + 5 + 7 - 2 - 9 - 5, 1 + 8 + 2 - 4 - 3 - 1, 2 + 9 + 5 - 7 - 1 - 3],
      [1 + 2 + 0 - 8 - 2 - 3, 5 + 7 + 1 - 9 - 5 - 1, 8 + 2 + 3 - 3 - 1 - 7, 9 + 5 + 1 - 1 - 3 - 8],
      [2 + 0 + 4 - 2 - 3 - 1, 7 + 1 + 2 - 5 - 1 - 6, 2 + 3 + 1 - 1 - 7 - 2, 5 + 1 + 6 - 3 - 8 - 8],
      [0 + 4 + 2 - 3 - 1 - 5, 1 + 2 + 4 - 1 - 6 - 2, 3 + 1 + 5 - 7 - 2 - 3, 1 + 6 + 2 - 8 - 8 - 9]]


def test_all_sixteen_outputs_of_the_6x6_by_3x3_convolution():
    assert CM == [[-5, -4, 3, 5], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
    assert plain(conv2d(image(M), kernel(F))) == CM


@pytest.mark.parametrize("at", PRINTED)
def test_each_printed_product_of_the_6x6(at):
    cells, weights = zip(*factors(PRINTED[at]))
    y, x = at
    assert by_columns(cells).tolist() == M[y:y + 3, x:x + 3].tolist() and by_columns(weights).tolist() == F.tolist()
    assert plain(conv2d(image(M), kernel(F)))[y][x] == total(PRINTED[at])


# ---- stride 2 on a 7×7: four windows are printed, the matrix is a picture

STRIDE_2 = {
    (0, 0): "2*3 + 6*1 + 3*(-1) + 3*4 + 6*0 + 4*0 + 7*4 + 9*2 + 8*3",
    (0, 1): "7*3 + 9*1 + 8*(-1) + 4*4 + 8*0 + 3*0 + 6*4 + 7*2 + 8*3",
    (0, 2): "6*3 + 7*1 + 8*(-1) + 2*4 + 4*0 + 9*0 + 9*4 + 3*2 + 7*3",
    (1, 0): "3*3 + 7*1 + 4*(-1) + 4*4 + 8*0 + 2*0 + 8*4 + 3*2 + 1*3",
}
VALUES = {(0, 0): 91, (0, 1): 100, (0, 2): 88, (1, 0): 69}


def rebuilt_7x7():
    """(the cells that the four windows print, which cells those are, the filter); a cell printed twice must be the same twice."""
    matrix, known, filters = np.zeros((7, 7)), np.zeros((7, 7), bool), []
    for (oy, ox), text in STRIDE_2.items():
        cells, weights = zip(*factors(text))
        place = np.s_[2 * oy:2 * oy + 3, 2 * ox:2 * ox + 3]
        window, seen = by_columns(cells), known[place]
        assert (matrix[place][seen] == window[seen]).all(), f"window {(oy, ox)} contradicts an earlier one"
        matrix[place], known[place] = window, True
        filters.append(by_columns(weights).tolist())
    assert all(f == filters[0] for f in filters)
    return matrix, known, filters[0]


def test_the_four_windows_printed_for_stride_2_agree_on_the_cells_they_share():
    matrix, known, weights = rebuilt_7x7()
    assert weights == [[3, 4, 4], [1, 0, 2], [-1, 0, 3]]
    assert matrix[:3].tolist() == [[2, 3, 7, 4, 6, 2, 9], [6, 6, 9, 8, 7, 4, 3], [3, 4, 8, 3, 8, 9, 7]]
    assert matrix[3:5, :3].tolist() == [[7, 8, 3], [4, 2, 1]]
    # The other 22 cells are not printed: columns 4 to 7 of rows 4 and 5, and rows 6 and 7.
    assert known.sum() == 27 and not known[3:5, 3:].any() and not known[5:].any()


@pytest.mark.parametrize("seed", range(3))
def test_stride_2_on_the_7x7_whatever_the_unprinted_cells_are(seed):
    matrix, known, weights = rebuilt_7x7()
    matrix = np.where(known, matrix, np.random.default_rng(seed).integers(-9, 10, (7, 7)))
    y = plain(conv2d(image(matrix), kernel(weights), stride=2))
    assert np.shape(y) == (3, 3)
    for (oy, ox), text in STRIDE_2.items():
        assert y[oy][ox] == total(text) == VALUES[oy, ox]


# ---- red, green and blue

RED = [[156, 155, 156, 158, 158], [153, 154, 157, 159, 159], [149, 151, 155, 158, 159],
       [146, 146, 149, 153, 158], [145, 143, 143, 148, 158]]
GREEN = [[167, 166, 167, 169, 169], [164, 165, 168, 170, 170], [160, 162, 166, 169, 170],
         [156, 156, 159, 163, 168], [155, 153, 153, 158, 168]]
BLUE = [[163, 162, 163, 165, 165], [160, 161, 164, 166, 166], [156, 158, 162, 165, 166],
        [155, 155, 158, 162, 167], [154, 152, 152, 157, 167]]
RGB = np.stack([RED, GREEN, BLUE], axis=-1)
RGB_FILTER = np.stack([[[-1, -1, 1], [0, 1, -1], [0, 1, 1]],
                       [[1, 0, 0], [1, -1, -1], [1, 0, -1]],
                       [[0, 1, 1], [0, 1, 0], [1, -1, 1]]], axis=-1)


def test_the_rgb_window_gives_minus_25():
    y = conv2d(RGB[None].astype(np.float32), RGB_FILTER[..., None].astype(np.float32), [1.0], padding=((1, 0), (1, 0)))
    assert y.numpy()[0, 0, 0, 0] == 308 - 498 + 164 + 1 == -25


@pytest.mark.parametrize("channel, expected", list(enumerate([308, -498, 164])), ids=["red", "green", "blue"])
def test_each_channel_of_the_rgb_window(channel, expected):
    y = conv2d(image(RGB[..., channel]), kernel(RGB_FILTER[..., channel]), padding=((1, 0), (1, 0)))
    assert plain(y)[0][0] == expected


# ---- the gradients of a 2×2 filter on a 3×3 image, term by term: as printed, a product of two indexed letters per term

O_TERMS = {
    "11": "F11 X11 + F12 X12 + F21 X21 + F22 X22", "12": "F11 X12 + F12 X13 + F21 X22 + F22 X23",
    "21": "F11 X21 + F12 X22 + F21 X31 + F22 X32", "22": "F11 X22 + F12 X23 + F21 X32 + F22 X33",
}
DF_TERMS = {
    "11": "O11 X11 + O12 X12 + O21 X21 + O22 X22", "12": "O11 X12 + O12 X13 + O21 X22 + O22 X23",
    "21": "O11 X21 + O12 X22 + O21 X31 + O22 X32", "22": "O11 X22 + O12 X23 + O21 X32 + O22 X33",
}
DX_TERMS = {                                   # the equations; their products with 0 left out, and the f12 of X22 is F12
    "11": "O11 F11", "12": "O11 F12 + O12 F11", "13": "O12 F12",
    "21": "O11 F21 + O21 F11", "22": "O11 F22 + O12 F21 + O21 F12 + O22 F11", "23": "O12 F22 + O22 F11",
    "31": "O21 F21", "32": "O21 F22 + O22 F21", "33": "O22 F22",
}
DX_FIGURES = {                                 # the same nine under the figures of the full convolution
    "11": "F11 O11", "12": "F12 O11 + F11 O12", "13": "F12 O12",
    "21": "F21 O11 + F11 O21", "22": "F22 O11 + F21 O12 + F12 O21 + F11 O22", "23": "F22 O12 + F12 O22",
    "31": "F21 O21", "32": "F22 O21 + F21 O22", "33": "F22 O22",
}


def printed_terms(text):
    return {frozenset(re.findall(r"[FOX]\d\d", term)) for term in text.split(" + ")}


def units(letter, size):
    """(name, matrix) for each cell of a size×size matrix: 1 there and 0 elsewhere."""
    for i in range(size * size):
        yield f"{letter}{i // size + 1}{i % size + 1}", np.eye(size * size)[i].reshape(size, size)


def terms_found(f, a, b, size):
    """{cell: its set of terms} of a bilinear map: a term stands in a cell exactly if the map of two unit matrices is 1 there."""
    found = {}
    for name_a, unit_a in units(*a):
        for name_b, unit_b in units(*b):
            for row, column in np.argwhere(np.array(f(unit_a, unit_b)) == 1):
                found.setdefault(f"{row + 1}{column + 1}", set()).add(frozenset((name_a, name_b)))
    assert len(found) == size * size
    return found


def gradients(x, f, g):
    """(∂E/∂X, ∂E/∂F) from the engine, for E = Σ g · O."""
    x, f = image(x), kernel(f)
    x.requires_grad_(), f.requires_grad_()
    dx, df = grad(conv2d(x, f), [x, f], image(g))
    return plain(dx), df.numpy()[:, :, 0, 0].tolist()


def test_the_printed_outputs_of_a_2x2_filter_on_a_3x3_image():
    found = terms_found(lambda f, x: plain(conv2d(image(x), kernel(f))), ("F", 2), ("X", 3), 2)
    assert found == {cell: printed_terms(text) for cell, text in O_TERMS.items()}


def test_the_printed_gradient_of_the_filter():
    found = terms_found(lambda g, x: gradients(x, np.zeros((2, 2)), g)[1], ("O", 2), ("X", 3), 2)
    assert found == {cell: printed_terms(text) for cell, text in DF_TERMS.items()}


def test_the_printed_gradient_of_the_image_has_one_misprint():
    """∂E/∂X₂₃ is printed with ∂E/∂O₂₂·F₁₁. O₂₂ holds X₂₃ in the term F₁₂·X₂₃, so it must be F₁₂; the lecture's own figure has it right."""
    found = terms_found(lambda g, f: gradients(np.zeros((3, 3)), f, g)[0], ("O", 2), ("F", 2), 3)
    assert found == {cell: printed_terms(text) for cell, text in DX_FIGURES.items()}
    wrong = {cell: printed_terms(text) ^ found[cell] for cell, text in DX_TERMS.items() if printed_terms(text) != found[cell]}
    assert wrong == {"23": {frozenset(("O22", "F11")), frozenset(("O22", "F12"))}}


def test_the_misprint_in_numbers():
    x, f, g = [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 2], [3, 4]], [[5, 6], [7, 8]]
    dx, df = gradients(x, f, g)
    assert dx[1][2] == 6 * 4 + 8 * 2 == 40 and 6 * 4 + 8 * 1 == 32          # O12·F22 + O22·F12, and what the misprint would give
    assert dx == [[5, 5 * 2 + 6, 6 * 2], [5 * 3 + 7, 5 * 4 + 6 * 3 + 7 * 2 + 8, 40], [7 * 3, 7 * 4 + 8 * 3, 8 * 4]]
    assert df == [[5 * 1 + 6 * 2 + 7 * 4 + 8 * 5, 5 * 2 + 6 * 3 + 7 * 5 + 8 * 6],
                  [5 * 4 + 6 * 5 + 7 * 7 + 8 * 8, 5 * 5 + 6 * 6 + 7 * 8 + 8 * 9]]


def test_both_gradients_are_convolutions(rng):
    x, f, g = (rng.integers(-9, 10, (n, n)) for n in (3, 2, 2))
    dx, df = gradients(x, f, g)
    assert plain(conv2d(image(x), kernel(g))) == df                                        # X * ∂E/∂O
    assert plain(conv2d(image(g), kernel(np.rot90(f, 2)), padding=1)) == dx                # the full convolution with the filter turned


# ---- pooling

def test_the_gradient_of_max_pooling_goes_to_d():
    m = image([[1, 2], [3, 4]]).requires_grad_()                                           # a b / c d, and d is the largest
    y = max_pool2d(m, 2)
    assert y.item() == 4 and plain(grad(y, m)) == [[0, 0], [0, 1]]


def test_every_input_shifts_and_half_of_the_maxima_stay():
    before, after = [0.1, 1, 0.2, 0.1], [0.3, 0.1, 1, 0.2]
    y, shifted = (max_pool2d(image([row]), (1, 3), stride=1, padding=(0, 1)) for row in (before, after))
    assert all(a != b for a, b in zip(before, after))
    assert plain(y) == plain(image([[1, 1, 1, 0.2]])) and plain(shifted) == plain(image([[0.3, 1, 1, 1]]))
    assert (y.numpy() != shifted.numpy()).sum() == 2


def test_width_3_stride_2_keeps_the_smaller_last_region():
    x = image([[0.1, 1, 0.2, 0.1, 0, 0.1]])
    assert plain(max_pool2d(x, (1, 3), stride=2, ceil_mode=True)) == plain(image([[1, 0.2, 0.1]]))
    assert plain(max_pool2d(x, (1, 3), stride=2)) == plain(image([[1, 0.2]]))              # what would be ignored otherwise


def test_the_kinds_of_pooling_on_one_window():
    x = image([[1, 2], [3, 4]])
    assert max_pool2d(x, 2).item() == 4 and sum_pool2d(x, 2).item() == 10 and avg_pool2d(x, 2).item() == 2.5
    assert lp_pool2d(x, 2, 2.0).item() == pytest.approx(30 ** 0.5)
    assert distance_pool2d(x, 2).item() == pytest.approx(2.5)                              # all four are as far from the centre
    cross = [[0, 1, 0], [1, 4, 1], [0, 1, 0]]
    assert distance_pool2d(image([[9, 1, 9], [2, 8, 3], [9, 6, 9]]), 3, cross).item() == (1 + 2 + 4 * 8 + 3 + 6) / 8


def test_pooling_over_learned_filters_does_not_see_a_rotation():
    strokes = [np.eye(5)[:, ::-1], np.eye(5)[[2] * 5], np.eye(5)]                          # one stroke: tilted right, upright, tilted left
    detectors = np.stack(strokes, axis=-1)[:, :, None, :].astype(np.float32)
    for k, stroke in enumerate(strokes):
        response = conv2d(image(stroke), detectors)
        assert response.numpy().argmax() == k                                              # each is found by the unit tuned to it
        assert channel_max_pool(response, 3).item() == 5                                   # and the pooling unit says the same of all three


def test_the_output_size_formula():
    for n, p, f, stride in [(6, 0, 3, 1), (7, 0, 3, 2), (227, 0, 11, 4), (55, 0, 3, 2), (28, 2, 5, 1), (224, 1, 3, 1), (2, 0, 2, 2)]:
        assert output_size(n, f, stride, p, p) == (n + 2 * p - f) / stride + 1
    for n, p, f, stride in [(6, 0, 3, 1), (7, 0, 3, 2), (8, 2, 5, 1)]:
        y = conv2d(np.ones((1, n, n, 1), np.float32), np.ones((f, f, 1, 1), np.float32), stride=stride, padding=p)
        assert y.shape == (1, (n + 2 * p - f) // stride + 1, (n + 2 * p - f) // stride + 1, 1)
