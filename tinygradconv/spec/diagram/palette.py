"""Families of layers and their colours: Okabe and Ito's palette for all kinds of colour vision (2008), light for fills, dark for lines.

A family is the file that a layer is written in (spec/layers/): one stem for one idea. Colour is never alone: every box says what it is.
"""
from __future__ import annotations

from typing import NamedTuple

from ..base import Spec


class Colours(NamedTuple):
    """(fill, line) on a light page and on a dark one."""

    fill: str
    line: str
    dark_fill: str
    dark_line: str


FAMILIES: dict[str, tuple[str, Colours]] = {
    "conv": ("convolution", Colours("#d6eaf8", "#0072b2", "#0d3553", "#56b4e9")),
    "pool": ("pooling", Colours("#fbe0cf", "#c14f00", "#52250b", "#f0925a")),
    "norm": ("normalisation", Colours("#f3dcea", "#a8487f", "#4a2039", "#dd94bf")),
    "dense": ("dense", Colours("#cfeee3", "#00795a", "#083d30", "#3cc9a2")),
    "activation": ("activation", Colours("#faf3b0", "#8a7a00", "#423b06", "#f0e442")),
    "join": ("join", Colours("#ffffff", "#444444", "#22272e", "#c9d1d9")),
    "scope": ("several layers", Colours("#e6e3f4", "#5a4fa2", "#2b2650", "#a79df0")),
    "other": ("other", Colours("#eeeeee", "#6a6a6a", "#2d333b", "#9aa4af")),
    "input": ("input", Colours("#ffffff", "#6a6a6a", "#0d1117", "#9aa4af")),
}
STEMS = {"transpose": "conv", **{stem: stem for stem in ("conv", "pool", "norm", "dense", "activation")}}
JOINS = {"Concat", "Sum", "Residual"}


def family(spec: Spec) -> str:
    """The family of a layer: "conv", "pool", "norm", "dense", "activation", "join" or "other"."""
    kind = type(spec)
    if kind.__name__ in JOINS:
        return "join"
    home = kind.__module__.split(".")
    return STEMS.get(home[-1], "other") if home[:1] == ["tinygradconv"] else "other"
