"""VGG: nothing but 3×3 convolutions, deep (Simonyan and Zisserman 2015, "Very deep convolutional networks", table 1).

Parameter paths are torchvision's: features.0.weight, classifier.6.bias.
"""
from __future__ import annotations

from tinygradconv.spec import AdaptiveAvgPool, BatchNorm, Chain, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Scope, Spec

from .depths import of_depth

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(depth: int, batch_norm: bool = False, classes: int = 1000) -> Spec:
    """VGG of `depth` layers: five stages of 3×3 convolutions, 64 to 512 wide, each halved by a pool; then three dense layers.

    ValueError for a depth that is not among DEPTHS.
    """
    def conv(width: int) -> Spec:
        return Conv(width, 3, padding=1) >> BatchNorm() >> ReLU() if batch_norm else Conv(width, 3, padding=1) >> ReLU()

    repeats = of_depth("vgg", depth, DEPTHS)
    stages = [conv(width) * copies >> MaxPool(2) for width, copies in zip((64, 128, 256, 512, 512), repeats)]
    return Scope(features=Chain(*stages), avgpool=AdaptiveAvgPool(7), _flatten=Flatten(),
                 classifier=(Dense(4096) >> ReLU() >> Dropout()) * 2 >> Dense(classes))
