"""tinygradconv: see how a convolutional network learns, and train it fast."""
from pathlib import Path as _Path

from ._locate import locate as _locate

_locate(_Path(__file__).resolve().parent, __path__)

from .autodiff import AnomalyError, Primitive, anomaly, custom_op, grad, no_grad, primitive  # noqa: E402
from .ops.elementwise import *  # noqa: E402, F403
from .settings import settings  # noqa: E402
from .tensor import Tensor  # noqa: E402
