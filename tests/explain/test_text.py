"""How numbers and matrices are written."""
from __future__ import annotations

import pytest

from tinygradconv import explain
from tinygradconv.explain.text import beside, cell, matrix, number, places, product, total, wrapped


@pytest.mark.parametrize("value, text", [
    (-5, "−5"), (3.0, "3"), (-0.0, "0"), (1 / 3, "0.3333"), (123456, "123456"), (123456.5, "1.235e+05"), (1e-7, "1e−07"),
    (-float("inf"), "−∞"),
])
def test_number(value, text):
    assert number(value) == text


def test_a_negative_second_factor_has_parentheses():
    assert product(8, -1) == "8·(−1)" and product(-8, 1) == "−8·1"


def test_after_a_plus_a_negative_number_has_parentheses():
    assert total(["−1·1", "1·(−1)", "−2·1", "−3", "−1e−07", "0"]) == "−1·1 + 1·(−1) + (−2)·1 + (−3) + (−1e−07) + 0"
    steps = explain.conv2d([[1, 2], [3, 4]], [[1, -1], [-1, 1]], -2, g=[[-3]])
    assert "O11 = 1·1 + 3·(−1) + 2·(−1) + 4·1 + (−2) = −2" in str(steps).splitlines() and "+ −" not in str(steps)


def test_cells_count_from_one_and_never_read_two_ways():
    assert cell("X", 1, 2) == "X23" and cell("X", 0, 11) == "X1,12" and cell("X", 9, 0) == "X10,1"


def test_matrices_line_up():
    assert matrix([[1, -10], [100, 0]]) == ["  1  −10", "100    0"]
    assert beside("A  =", ["1", "2", "3"], "*", ["4"]) == ["       1       4", "A  =   2   *", "       3"]


@pytest.mark.parametrize("arguments, text", [
    ((6, 0, 0, 3, 1, 4), "(6 + 2·0 − 3)/1 + 1 = 4"),
    ((6, 1, 0, 3, 2, 3), "(6 + 1 + 0 − 3)/2 + 1 = 3"),
    ((6, 0, 0, 3, 2, 2), "⌊(6 + 2·0 − 3)/2⌋ + 1 = 2"),
    ((6, 0, 0, 3, 2, 3, True), "⌈(6 + 2·0 − 3)/2⌉ + 1 = 3"),
    ((3, 1, 1, 2, 3, 2, True), "(3 + 2·1 − 2)/3 + 1 = 2"),
    ((4, 1, 1, 2, 3, 2, True), "⌈(4 + 2·1 − 2)/3⌉ + 1, less one that would start in the padding = 2"),
])
def test_the_output_size_formula_is_written_out(arguments, text):
    assert places(*arguments) == text


def test_long_lines_break_between_words():
    text = wrapped("  O11 = " + " + ".join(["123·456"] * 40))
    assert max(map(len, text.splitlines())) <= 120 and text.splitlines()[1].startswith("      ")
    assert " ".join(text.split()) == "O11 = " + " + ".join(["123·456"] * 40)
