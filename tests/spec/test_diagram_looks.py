"""Legible for everyone: text is no wider than it is reckoned, and colours differ and stand out for every kind of colour vision."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinygradconv.spec import ELU, GELU, Conv, Conv1d, Dense, Identity, LayerNorm, LpPool, MaxPool, Pad, Reshape
from tinygradconv.spec.diagram.palette import FAMILIES, family
from tinygradconv.spec.diagram.text import width
from tinygradconv.spec.diagram.words import run_lengths, said

# How red, green and blue light reach an eye without one kind of cones: Machado, Oliveira and Fernandes 2009, table 1, severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
KINDS = ["conv", "pool", "norm", "dense", "activation", "scope", "other"]


def light(colour):
    """Linear red, green, blue of #rrggbb or #rgb."""
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    c = np.array([int(digits[i:i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of linear red, green, blue (D65)."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.where(xyz / (0.9505, 1, 1.089) > 0.008856, np.cbrt(xyz / (0.9505, 1, 1.089)), 7.787 * xyz / (0.9505, 1, 1.089) + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(first, second, eye):
    """How far apart two boxes look: fills and lines together, in CIE L*a*b*."""
    return np.sqrt(sum(((lab(eye @ light(a)) - lab(eye @ light(b))) ** 2).sum() for a, b in zip(first, second)))


def contrast(a, b):
    """WCAG 2's contrast of two colours."""
    dark, bright = sorted(np.array([0.2126, 0.7152, 0.0722]) @ light(colour) for colour in (a, b))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("part", [slice(0, 2), slice(2, 4)], ids=["light", "dark"])
def test_families_look_different(part, eye):
    for a, b in itertools.combinations(KINDS, 2):
        assert apart(FAMILIES[a][1][part], FAMILIES[b][1][part], EYES[eye]) > 15, (a, b)


def test_red_and_green_of_one_lightness_would_be_found():
    assert apart(("#c05050",) * 2, ("#4f8a3a",) * 2, EYES["all cones"]) > 60 > 30 > apart(("#a5732b",) * 2, ("#6b8a2b",) * 2,
                                                                                       EYES["deuteranopia"])


@pytest.mark.parametrize("name", FAMILIES)
def test_text_and_borders_stand_out(name):
    colours = FAMILIES[name][1]
    assert min(contrast(colours.fill, "#3d4248"), contrast(colours.dark_fill, "#b4bcc6")) >= 4.5
    assert min(contrast(colours.line, "#fff"), contrast(colours.dark_line, "#0d1117")) >= 3


@pytest.mark.parametrize("bold", [False, True])
def test_text_is_no_wider_than_reckoned_in_the_widest_usual_fonts(bold):
    ft2font = pytest.importorskip("matplotlib.ft2font")
    folder = pytest.importorskip("matplotlib").get_data_path()
    font = ft2font.FT2Font(f"{folder}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf")
    font.set_size(100, 72)
    for character in [*map(chr, range(32, 127)), *"×·…–αβ"]:
        real = font.load_char(ord(character)).linearHoriAdvance / 65536 / 100
        assert width(character, 1, bold=bold) >= real - 1e-3, character


@pytest.mark.parametrize(("layer", "words"), [
    (Conv(64, (1, 7), stride=(1, 2), groups=2, dilation=2), "1×7 conv, 64, /1×2, 2 groups, dilation 2"),
    (MaxPool(3), "3×3 max pool, /3"), (MaxPool((2, 3)), "2×3 max pool, /2×3"), (LpPool(2, stride=1), "2×2 Lp pool"),
    (Conv1d(8, 5), "5 conv, 8"), (Dense(10), "dense, 10"), (Reshape((2, 2, 3)), "reshape to 2×2×3"), (Identity(), "identity"),
    (ELU(alpha=2.0), "ELU(alpha=2.0)"), (GELU(), "GELU"), (LayerNorm(axes=3), "layer norm"), (Pad(((1, 2), (3, 4)), "reflect"), "Pad")])
def test_the_words_for_layers(layer, words):
    assert said(layer) == words


def test_families_are_the_files_of_the_layers():
    assert [family(layer) for layer in (Conv1d(1, 1), MaxPool(2), LayerNorm(), Dense(1), ELU(), Identity())] == [
        "conv", "pool", "norm", "dense", "activation", "other"]


def test_runs_of_words():
    assert run_lengths(["a", "a", "", "b · c", "b · c", "d"]) == "a ×2 · [b · c] ×2 · d"
