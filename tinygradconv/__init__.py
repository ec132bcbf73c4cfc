"""tinygradconv: see how a convolutional network learns, and train it fast."""
from pathlib import Path as _Path

from ._locate import locate as _locate

_locate(_Path(__file__).resolve().parent, __path__)
