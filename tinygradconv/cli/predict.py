"""tinygradconv predict: what a trained network says of image files."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .arguments import integer


def add(commands: Any) -> None:
    """Its parser."""
    predict = commands.add_parser("predict", help="what a trained network says of image files",
                                  description="The most probable classes of image files, by the network of a run. The data set that it "
                                              "learned from need not be there. A file that cannot be read is named, and the others go on.")
    predict.add_argument("run_folder", metavar="RUN", help="the folder of the run")
    predict.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="an image file, or a folder of them")
    predict.add_argument("--top", metavar="N", type=integer(1), default=5, help="how many classes of each image; default: 5")
    predict.add_argument("--invert", choices=("auto", "yes", "no"), default="auto",
                         help="turn black on white into white on black. auto, the default: where the network learned from grey images that "
                              "are light on dark, as MNIST's digits are, and the border of the image is light")
    predict.add_argument("--weights", metavar="WHICH", default="last",
                         help="last (the default), best, ema, raw or a .safetensors file, as for eval")
    predict.add_argument("--json", action="store_true", help="as JSON")
    predict.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the classes; the exit code: 1 where a file could not be read."""
    from tinygradconv.data.picture import pictures_in
    from tinygradconv.train.predict import Predictor
    predictor = Predictor.open(asked.run_folder, asked.weights)
    found, failed = [], 0
    for path in [file for named in asked.images for file in pictures_in(named)]:
        try:
            picture = predictor.read(path, asked.invert)
        except ValueError as problem:
            _remark(problem)
            failed = 1
            continue
        if picture.blank:
            _remark(f"{path}: every pixel has the same colour, so what is said of it means nothing")
        ranked = predictor.ranked(predictor(picture.image)[0], asked.top)
        found.append({"file": str(path), "inverted": picture.inverted,
                      "classes": [{"class": name, "probability": probability} for name, probability in ranked]})
        if not asked.json:
            _print(path, ranked, picture.inverted)
    if asked.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    return failed


def _print(path: Path, ranked: list[tuple[str, float]], inverted: bool) -> None:
    print(f"{path}{' (inverted: it is black on white; --invert no takes it as it is)' if inverted else ''}")
    for name, probability in ranked:
        print(f"  {100 * probability:6.2f} %  {name}")


def _remark(text: object) -> None:
    print(f"tinygradconv: {' '.join(str(text).split())}", file=sys.stderr)
