"""The argument that names a network: one of the zoo by its name, or a spec in a JSON file."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import integer, shape


def add_network(command: argparse.ArgumentParser) -> None:
    """MODEL and what goes with it: --input, --classes, --heads."""
    command.add_argument("model", metavar="MODEL",
                         help="its name (tinygradconv models lists them), or FILE.json, which spec.to_json() wrote")
    command.add_argument("--input", metavar="HxWxC", type=shape, help="the shape of one image; default: what the model is made for")
    command.add_argument("--classes", metavar="N", type=integer(1), help="how many classes it tells apart; default: those of its paper")
    command.add_argument("--heads", action="store_true", help="with the auxiliary heads that GoogLeNet is trained with")
    command.set_defaults(parser=command)


def network(asked: argparse.Namespace) -> tuple[Any, tuple[int, ...]]:
    """(spec, input shape) as asked for; ValueError where there is no such network."""
    if asked.model.endswith(".json"):
        if asked.classes is not None or asked.heads:
            asked.parser.error("--classes and --heads choose among the networks that have a name; a spec in a file is what it is")
        if asked.input is None:
            asked.parser.error(f"{asked.model} does not say what its input is: add --input HxWxC, such as --input 32x32x3")
        return _read(Path(asked.model)), asked.input
    from tinygradconv import models
    spec, made_for = models.get(asked.model, classes=asked.classes, heads=asked.heads)
    return spec, asked.input or made_for


def _read(path: Path) -> Any:
    """The spec in a file; ValueError begins with the file's name. A file too long to be a spec is not read to its end."""
    from tinygradconv.spec import Spec
    from tinygradconv.spec.json import LONGEST
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST + 1)
    except OSError as problem:
        raise ValueError(f"cannot read {path}: {problem.strerror}") from None
    try:
        return Spec.from_json(text)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
