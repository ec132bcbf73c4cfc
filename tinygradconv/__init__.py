"""tinygradconv: see how a convolutional network learns, and train it fast."""
from pathlib import Path as _Path

from ._locate import locate as _locate

_locate(_Path(__file__).resolve().parent, __path__)

from .anomaly import AnomalyError, anomaly  # noqa: E402
from .autodiff import Primitive, elementwise, grad, no_grad, primitive  # noqa: E402
from .custom import custom_op  # noqa: E402
from .gradcheck import GradcheckError, gradcheck  # noqa: E402
from .ops.elementwise import *  # noqa: E402, F403
from .remat import remat  # noqa: E402
from .settings import settings  # noqa: E402
from .tensor import Tensor  # noqa: E402

__all__ = ["AnomalyError", "GradcheckError", "Primitive", "Tensor", "anomaly", "custom_op", "elementwise", "grad", "gradcheck", "no_grad", "primitive",
           "remat", "settings"]
