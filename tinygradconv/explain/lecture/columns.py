"""Columns that the lecture's tables share."""
from __future__ import annotations

from tinygradconv.spec.table import Column, times


def text(heading: str, name: str, width: int = 0) -> Column:
    """Words."""
    return Column(heading, name, width=width)


def printed(heading: str, name: str = "printed") -> Column:
    """What the slides print, to the letter."""
    return Column(heading, name, numeric=True)


def number(heading: str, name: str) -> Column:
    """An integer, in full."""
    return Column(heading, name, "{:,}".format, numeric=True)


def percent(heading: str, name: str) -> Column:
    """An error rate."""
    return Column(heading, name, "{} %".format, numeric=True)


def shape(heading: str, name: str) -> Column:
    """Height, width and channels."""
    return Column(heading, name, times)
