"""AlexNet: the network that won ILSVRC 2012 (Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional
neural networks").
"""
from __future__ import annotations

from tinygradconv.spec import LRN, AdaptiveAvgPool, Constant, Conv, Dense, Dropout, Flatten, MaxPool, Normal, ReLU, Scope, Spec


def alexnet(classes: int = 1000) -> Spec:
    """AlexNet in its common form, torchvision's: one tower and no normalisation (Krizhevsky 2014, "One weird trick", with dropout).

    61,100,840 parameters and 714,188,480 multiply-accumulates for 224×224×3. Paths are torchvision's: features.0.weight, classifier.6.bias.
    """
    features = (Conv(64, 11, stride=4, padding=2) >> ReLU() >> MaxPool(3, stride=2)
                >> Conv(192, 5, padding=2) >> ReLU() >> MaxPool(3, stride=2)
                >> Conv(384, 3, padding=1) >> ReLU() >> (Conv(256, 3, padding=1) >> ReLU()) * 2 >> MaxPool(3, stride=2))
    return Scope(features=features, avgpool=AdaptiveAvgPool(6), _flatten=Flatten(),
                 classifier=(Dropout() >> Dense(4096) >> ReLU()) * 2 >> Dense(classes))


def alexnet_2012(classes: int = 1000) -> Spec:
    """AlexNet as it was published (figure 2), for 227×227×3: 60,965,224 parameters, 724,406,816 multiply-accumulates.

    Its two towers, one per GPU, are the groups of conv2, conv4 and conv5; pools overlap (section 3.4). The paper says 224×224, which
    does not give its 55×55. Weights start normal with deviation 0.01, biases at one where a ReLU should begin alive (section 5).
    """
    init, ones = Normal(0.01), Constant(1.0)
    norm, pool = LRN(5, alpha=5e-4), MaxPool(3, stride=2)             # section 3.3 has α = 10⁻⁴, and does not divide it by n = 5
    return Scope(conv1=Conv(96, 11, stride=4, init=init), _relu1=ReLU(), _norm1=norm, pool1=pool,
                 conv2=Conv(256, 5, padding=2, groups=2, init=init, bias_init=ones), _relu2=ReLU(), _norm2=norm, pool2=pool,
                 conv3=Conv(384, 3, padding=1, init=init), _relu3=ReLU(),
                 conv4=Conv(384, 3, padding=1, groups=2, init=init, bias_init=ones), _relu4=ReLU(),
                 conv5=Conv(256, 3, padding=1, groups=2, init=init, bias_init=ones), _relu5=ReLU(), pool5=pool, _flatten=Flatten(),
                 fc6=Dense(4096, init=init, bias_init=ones), _relu6=ReLU(), _dropout6=Dropout(),
                 fc7=Dense(4096, init=init, bias_init=ones), _relu7=ReLU(), _dropout7=Dropout(), fc8=Dense(classes, init=init))
