"""Families of layers and their colours: the hues of Okabe and Ito (2008), light for fills and dark for lines, made unlike for every eye.

A family is the file that a layer is written in (spec/layers/): one stem for one idea. Lightness differs where hues are alike to an eye
without red, green or blue cones (a test measures it), and colour is never alone: every box says what it is.
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
    "conv": ("convolution", Colours("#e4f0fa", "#2c79ba", "#143c55", "#77b1d5")),
    "pool": ("pooling", Colours("#f3d4c3", "#cf5717", "#52260b", "#f0925a")),
    "norm": ("normalisation", Colours("#eecee4", "#a04684", "#2d0a25", "#f5b0e6")),
    "dense": ("dense", Colours("#bfe8dd", "#00795a", "#0b3c2c", "#44d6a7")),
    "activation": ("activation", Colours("#faf1b0", "#a08c00", "#423e06", "#f0e442")),
    "join": ("join", Colours("#ffffff", "#444444", "#22272e", "#c9d1d9")),
    "scope": ("several layers", Colours("#dfdfef", "#2c2b6e", "#292650", "#6a63d0")),
    "other": ("other", Colours("#e5e5e5", "#3c3736", "#2d343b", "#9aa4af")),
    "input": ("input", Colours("#ffffff", "#6a6a6a", "#0d1117", "#9aa4af")),
}
STEMS = {"transpose": "conv", "rbf": "dense", **{stem: stem for stem in ("conv", "pool", "norm", "dense", "activation")}}
JOINS = {"Concat", "Sum", "Residual"}


def family(spec: Spec) -> str:
    """The family of a layer: "conv", "pool", "norm", "dense", "activation", "join" or "other"."""
    kind = type(spec)
    if kind.__name__ in JOINS:
        return "join"
    home = kind.__module__.split(".")
    return STEMS.get(home[-1].rpartition("_")[2], "other") if home[:1] == ["tinygradconv"] else "other"
