"""A picture file as one more image of a data set: its size, its channels, its numbers for black and white, its background."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import DataSet
from .images import FORMATS, need_pillow, read_image

KEPT = ("classes", "mean", "deviation", "black_white")           # of a data set, in the config.json of a run
INVERT = ("auto", "yes", "no")
LUMA = np.array([299, 587, 114])          # thousandths of red, green and blue in grey (ITU-R BT.601), as Pillow takes them


@dataclass(frozen=True)
class Style:
    """How the images of a data set are kept, which a picture must be like.

    shape          (H, W, C): 3 channels are RGB, 1 is grey
    black, white   the data set's numbers for them: 0 and 255 for bytes
    dark           whether the images are light on dark and grey, as MNIST's ink is 255 and its paper 0: `auto` then inverts a picture whose
                   border is light, since people write black on white
    """

    shape: tuple[int, int, int]
    black: float = 0
    white: float = 255
    dark: bool = False

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or self.shape[2] not in (1, 3):
            raise ValueError(f"a picture becomes an image (H, W, 1) or (H, W, 3), and the network's input is {self.shape}")


@dataclass(frozen=True, eq=False)
class Picture:
    """`image`, (H, W, C), in the data set's numbers, uint8 or float32; whether it was `inverted`, and whether all of it is one colour."""

    path: Path
    image: np.ndarray
    inverted: bool
    blank: bool


def read_picture(path: Path, style: Style, invert: str = "auto") -> Picture:
    """The picture in this file as an image of this style; scaled, cut and turned upright as the images of a folder are (see `read_image`).

    `invert`: "yes" and "no" for black on white turned into white on black; "auto" where the style is dark and the picture's border is
    light. ValueError names the file and says what is wrong; ImportError: Pillow is not installed.
    """
    if invert not in INVERT:
        raise ValueError(f"invert must be {', '.join(map(repr, INVERT))}, got {invert!r}")
    need_pillow(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    height, width, channels = style.shape
    pixels = read_image(path, height, width)
    if channels == 1:
        pixels = ((pixels @ LUMA + 500) // 1000).astype(np.uint8)[..., None]
    inverted = invert == "yes" or (invert == "auto" and style.dark and _border(pixels) > 127)
    if inverted:
        pixels = 255 - pixels
    image = pixels
    if (style.black, style.white) != (0, 255):
        image = (style.black + (style.white - style.black) / 255 * pixels).astype(np.float32)
    return Picture(path, image, bool(inverted), bool((pixels == pixels[0, 0]).all()))


def kept(data: DataSet) -> dict[str, Any]:
    """What a run keeps of its data set, so that `predict` can do without it: the classes' names, mean, deviation, the numbers of black and
    white (of bytes 0 and 255, else the smallest and the largest training value).
    """
    images = data.train.images
    black_white = [0, 255] if images.dtype == np.uint8 else [float(images.min()), float(images.max())]
    return dict(zip(KEPT, (list(data.classes), list(data.mean), list(data.deviation), black_white)))


def pictures_in(path: Path) -> list[Path]:
    """A file alone, or the files of images in a folder, sorted by name; hidden ones are passed over. FileNotFoundError: there are none."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in FORMATS and not file.name.startswith(".") and file.is_file())
    if not found:
        raise FileNotFoundError(f"{path}: there are no images in this folder. Images end in {', '.join(FORMATS)}")
    return found


def _border(pixels: np.ndarray) -> float:
    """The median of the outermost pixels."""
    return float(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))
