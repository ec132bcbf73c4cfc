"""One image file as bytes of RGB, at one size: decoded by Pillow, of the [data] extra, and trusted in nothing."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Formats whose decoders only decode: Pillow also knows some that start other programs.
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM"}
MOST_PIXELS = 80_000_000          # of one file, by its header; more is a mistake or an attack
PAPER = (255, 255, 255)           # what shows through where an image is transparent


def need_pillow(path: Path) -> None:
    """ImportError, which names what was to be read and the extra, where Pillow is not installed."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ImportError(f"{path}: to read images, pip install 'tinygradconv[data]' (pillow)") from None


def read_image(path: Path, height: int, width: int, short_side: int | None = None) -> np.ndarray:
    """(height, width, 3) uint8: the image upright, as RGB, scaled evenly until it covers the size, and its middle cut out.

    Upright as its EXIF orientation says; grey and palette images in their colours; transparent ones on white; 16-bit greys by their upper
    byte; of an animation the first picture. With `short_side` it is scaled until its shorter side has so many pixels, then cut.
    Shrinking averages over all the pixels that fall into a new one. ValueError names the file and says what is wrong.
    """
    from PIL import Image, ImageOps
    try:
        with Image.open(path, formats=sorted({*FORMATS.values()})) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width}×{image.height} pixels are more than {MOST_PIXELS}")
            rgb = _as_rgb(ImageOps.exif_transpose(image))
            return np.asarray(_covering(rgb, height, width, short_side))
    # Pillow's decoders raise whatever they stumble over in a damaged file: OSError, SyntaxError, struct.error, IndexError, warnings, …
    except Exception as problem:
        raise ValueError(f"{path}: {_reason(problem, path)}") from None


def _reason(problem: Exception, path: Path) -> str:
    if type(problem).__name__ == "UnidentifiedImageError":
        return f"it is no {FORMATS.get(path.suffix.lower(), 'image')} file, nor any of {', '.join(sorted({*FORMATS.values()}))}"
    return " ".join(str(problem).split())[:200] or type(problem).__name__


def _as_rgb(image: Any) -> Any:
    from PIL import Image
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 bits a channel")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its grey values have more than 16 bits; save it with 8 bits a channel")
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*PAPER, 255)), image).convert("RGB")
    return image.convert("RGB")


def _covering(image: Any, height: int, width: int, short_side: int | None) -> Any:
    """The middle of the image, of the right shape and as large as it can be (or as `short_side` says), at the new size."""
    from PIL import Image
    old_width, old_height = image.size
    scale = max(height / old_height, width / old_width) if short_side is None else short_side / min(old_height, old_width)
    cut_width, cut_height = min(width / scale, old_width), min(height / scale, old_height)
    left, top = (old_width - cut_width) / 2, (old_height - cut_height) / 2
    return image.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, left + cut_width, top + cut_height))
