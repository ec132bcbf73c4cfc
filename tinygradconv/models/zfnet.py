"""ZFNet: AlexNet after its authors had looked inside (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks")."""
from __future__ import annotations

from tinygradconv.spec import LRN, Conv, Dense, Dropout, Flatten, MaxPool, Normal, ReLU, Scope, Spec


def zfnet(classes: int = 1000) -> Spec:
    """ZFNet (figure 3), for 224×224×3: 62,357,608 parameters, 1,168,032,896 multiply-accumulates.

    Against AlexNet, smaller windows that move more slowly (7×7 by 2 for 11×11 by 4, figure 6) and no towers. Images are padded by 1 and
    pools keep a smaller last window, which is what gives the paper's 110, 55, 26, 13 and 6. The "contrast normalisation across feature
    maps" is AlexNet's.
    """
    init = Normal(0.01)
    norm, pool = LRN(5, alpha=5e-4), MaxPool(3, stride=2, ceil_mode=True)
    return Scope(conv1=Conv(96, 7, stride=2, padding=1, init=init), _relu1=ReLU(), pool1=pool, _norm1=norm,
                 conv2=Conv(256, 5, stride=2, init=init), _relu2=ReLU(), pool2=pool, _norm2=norm,
                 conv3=Conv(384, 3, padding=1, init=init), _relu3=ReLU(),
                 conv4=Conv(384, 3, padding=1, init=init), _relu4=ReLU(),
                 conv5=Conv(256, 3, padding=1, init=init), _relu5=ReLU(), pool5=pool, _flatten=Flatten(),
                 fc6=Dense(4096, init=init), _relu6=ReLU(), _dropout6=Dropout(),
                 fc7=Dense(4096, init=init), _relu7=ReLU(), _dropout7=Dropout(), fc8=Dense(classes, init=init))
