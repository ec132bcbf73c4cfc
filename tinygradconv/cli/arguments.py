"""What the commands share in reading their arguments: the parser, and the types of numbers and shapes."""
from __future__ import annotations

import argparse
import math
import sys
from typing import Any, NoReturn

WRONG_USAGE = 2


class Parser(argparse.ArgumentParser):
    """argparse, with the whole help where something is wrong."""

    def error(self, message: str) -> NoReturn:
        """Print the help and `message`, and exit with 2."""
        self.print_help(sys.stderr)
        self.exit(WRONG_USAGE, f"\n{self.prog}: {message}\n")


def integer(least: int, most: int = 2**63 - 1) -> Any:
    """The type of an argument that is an integer from `least` to `most`."""
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {number}" if number < least
                                             else f"must be at most {most}, got {number}")
        return number
    return parse


def number(text: str) -> float:
    """The type of an argument that is a finite number; what bounds it has the recipe says."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}")
    return found


def shape(text: str) -> tuple[int, ...]:
    """The type of an argument that is the shape of one image: 28x28x1 as (28, 28, 1)."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) not in (2, 3) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"must be HxWxC, such as 28x28x1, got {text!r}")
    return tuple(map(int, parts))
