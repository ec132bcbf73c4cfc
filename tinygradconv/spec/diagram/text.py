"""How wide text is, at most: a picture is read with fonts that it does not bring along, so it reckons with the widest usual ones.

Advances in em of DejaVu Sans (what Linux calls sans-serif; Verdana is as wide, Helvetica and Arial about a seventh narrower), in four
groups; bold is an eighth wider.
"""
from __future__ import annotations

NARROW = frozenset(" .,:;|!'ijltfrI·/\\()[]-")
UPPER = frozenset("ABCDEFGHJKLNOPQRSTUVXYZ&$")
LOWER = frozenset("abcdeghknopqsuvxyz0123456789_?*–\"`{}")
BOLD = 1.125


def em(character: str) -> float:
    """The advance of one character, at most."""
    if character in LOWER:
        return 0.66
    if character in NARROW:
        return 0.46
    if character in UPPER:
        return 0.79
    return 1.0 if ord(character) < 0x2100 else 1.4


def width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of `text` in pixels at font size `size`, at most."""
    return sum(map(em, text)) * size * (BOLD if bold else 1.0)
