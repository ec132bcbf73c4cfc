"""What a trained network says about images that it has never seen: a probability for each class."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.data.augment.normalize import Normalize
from tinygradconv.data.picture import KEPT, Picture, Style, read_picture
from tinygradconv.ops.softmax import softmax

from .sessions import reopen
from .weights import beside_weights, load_weights

BATCH = 64                      # images at a time: a folder of photographs needs the memory of one batch


def predict(model: Any, images: np.ndarray, *, mean: Sequence[float], deviation: Sequence[float]) -> np.ndarray:
    """softmax(model((images − mean) / deviation)), float32 (N, classes).

    images            (N, H, W, C), or (H, W, C) for one; uint8 or float32: the data set's numbers, not normalised
    mean, deviation   of the data set, one number for each channel: `data.mean`, `data.deviation`

    ValueError: another shape or dtype, or a model of another input.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[None]
    normalize, found = Normalize(tuple(mean), tuple(deviation)), []
    with no_grad():
        for at in range(0, max(len(images), 1), BATCH):
            scores = model(beside_weights(model, normalize(images[at:at + BATCH])), train=False)
            found.append(softmax(scores, axis=-1).numpy())
    return np.concatenate(found)


class Predictor:
    """A trained network together with what its run's config.json says of the images that it learned from.

    classes   the names of the classes, in the order of the probabilities
    style     what a picture must become to be like those images
    """

    def __init__(self, model: Any, config: Mapping[str, Any], where: str) -> None:
        missing = [key for key in (*KEPT, "input") if key not in config]
        if missing:
            raise ValueError(f"{where} lacks {', '.join(missing)}, which say what images the network learned from: it was written by an "
                             f"older version, or is damaged. Train anew")
        self.model, self.mean, self.deviation, self.classes = model, config["mean"], config["deviation"], tuple(config["classes"])
        black, white = config["black_white"]
        grey = config["input"][-1] == 1
        self.style = Style(tuple(config["input"]), black, white, dark=grey and config["mean"][0] < (black + white) / 2)

    @classmethod
    def open(cls, folder: str | os.PathLike, weights: str = "last") -> Predictor:
        """The network of the run in this folder; which `weights`: see `Session.weights`. ValueError, OSError: damaged, or not there."""
        session = reopen(Path(folder))
        arrays, config = session.weights(weights), session.run.config
        model = session.model(tuple(config["input"]))
        load_weights(model, arrays)
        return cls(model, config, str(session.run.folder / "config.json"))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """A probability for each class, float32 (N, classes), of images (N, H, W, C) in the data set's numbers."""
        return predict(self.model, images, mean=self.mean, deviation=self.deviation)

    def read(self, path: str | os.PathLike, invert: str = "auto") -> Picture:
        """The picture in this file, like the images that the network learned from; see `read_picture`."""
        return read_picture(Path(path), self.style, invert)

    def ranked(self, probabilities: np.ndarray, top: int) -> list[tuple[str, float]]:
        """The `top` most probable classes of one image with their probabilities; the first class of two that are equal comes first."""
        order = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.classes[i], float(probabilities[i])) for i in order]
