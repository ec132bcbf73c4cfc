"""LeNet-5: the convolutional network that read handwriting (LeCun, Bottou, Bengio and Haffner 1998)."""
from __future__ import annotations

from tinygradconv.spec import AvgPool, Conv, Dense, Flatten, Spec, Tanh


def lenet(classes: int = 10) -> Spec:
    """The common form, for 28×28×1: 61,706 parameters, 416,520 multiply-accumulates."""
    return (Conv(6, 5, padding=2) >> Tanh() >> AvgPool(2)
            >> Conv(16, 5) >> Tanh() >> AvgPool(2) >> Flatten()
            >> Dense(120) >> Tanh() >> Dense(84) >> Tanh() >> Dense(classes))


lenet5 = lenet()
