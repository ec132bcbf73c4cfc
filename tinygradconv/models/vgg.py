"""VGG: nothing but 3×3 convolutions, deep (Simonyan and Zisserman 2015, "Very deep convolutional networks", table 1).

Parameter paths are torchvision's: features.0.weight, classifier.6.bias.
"""
from __future__ import annotations

from tinygradconv.spec import BatchNorm, Chain, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Scope, Spec


def vgg(*depths: int, batch_norm: bool = False, classes: int = 1000) -> Spec:
    """Five stages of `depths` convolutions, 64, 128, 256, 512 and 512 wide, each halved by a pool; then three dense layers."""
    def conv(width: int) -> Spec:
        return Conv(width, 3, padding=1) >> BatchNorm() >> ReLU() if batch_norm else Conv(width, 3, padding=1) >> ReLU()

    stages = [conv(width) * depth >> MaxPool(2) for width, depth in zip((64, 128, 256, 512, 512), depths)]
    return Scope(features=Chain(*stages), _flatten=Flatten(), classifier=(Dense(4096) >> ReLU() >> Dropout()) * 2 >> Dense(classes))


DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
vgg11, vgg13, vgg16, vgg19 = (vgg(*depths) for depths in DEPTHS.values())
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (vgg(*depths, batch_norm=True) for depths in DEPTHS.values())
