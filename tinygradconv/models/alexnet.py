"""AlexNet: the network that won ILSVRC 2012 (Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional
neural networks").
"""
from __future__ import annotations

from tinygradconv.spec import AdaptiveAvgPool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Scope, Spec


def alexnet(classes: int = 1000) -> Spec:
    """AlexNet in its common form, torchvision's: one tower, no normalisation (Krizhevsky 2014, "One weird trick", with dropout).

    61,100,840 parameters and 714,188,480 multiply-accumulates for 224×224×3. Paths are torchvision's: features.0.weight, classifier.6.bias.
    """
    features = (Conv(64, 11, stride=4, padding=2) >> ReLU() >> MaxPool(3, stride=2)
                >> Conv(192, 5, padding=2) >> ReLU() >> MaxPool(3, stride=2)
                >> Conv(384, 3, padding=1) >> ReLU() >> (Conv(256, 3, padding=1) >> ReLU()) * 2 >> MaxPool(3, stride=2))
    return Scope(features=features, avgpool=AdaptiveAvgPool(6), _flatten=Flatten(),
                 classifier=(Dropout() >> Dense(4096) >> ReLU()) * 2 >> Dense(classes))
