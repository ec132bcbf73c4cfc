"""GoogLeNet: branches of several kernel sizes side by side (Szegedy et al. 2015, "Going deeper with convolutions", table 1).

Parameter paths are torchvision's: inception3a.branch2.0.conv.weight, aux1.fc1.weight, fc.bias.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tinygradconv.spec import (
    LRN,
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    ReLU,
    Scope,
    Spec,
)

Convolution = Callable[..., Spec]

# Table 1: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection; what they add up to is the next module's input.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}
ORDER = ("inception3a", "inception3b", "maxpool3", "inception4a", "aux1", "inception4b", "inception4c", "inception4d", "aux2",
         "inception4e", "maxpool4", "inception5a", "inception5b")


def conv_bn(channels: int, kernel_size: int, **options: int) -> Spec:
    """Convolution without a bias, batch norm with torchvision's epsilon, ReLU."""
    return Scope(conv=Conv(channels, kernel_size, **options, bias=False), bn=BatchNorm(epsilon=0.001), _relu=ReLU())


def conv_relu(channels: int, kernel_size: int, **options: int) -> Spec:
    """Convolution and ReLU."""
    return Scope(conv=Conv(channels, kernel_size, **options), _relu=ReLU())


def naive_inception(n1: int, n3: int, n5: int, *, conv: Convolution = conv_relu) -> Spec:
    """The inception module as first thought of (figure 2a): its maxima keep every channel, so it is always wider than its input."""
    return Concat(branch1=conv(n1, 1), branch2=conv(n3, 3, padding=1), branch3=conv(n5, 5, padding=2),
                  branch4=MaxPool(3, stride=1, padding=1))


def inception(n1: int, reduce3: int, n3: int, reduce5: int, n5: int, pool: int, *, conv: Convolution = conv_bn, widest: int = 5) -> Spec:
    """The inception module (figure 2b): 1×1, 3×3, `widest`×`widest` and maxima side by side, 1×1 convolutions keeping the others narrow."""
    return Concat(branch1=conv(n1, 1),
                  branch2=conv(reduce3, 1) >> conv(n3, 3, padding=1),
                  branch3=conv(reduce5, 1) >> conv(n5, widest, padding=widest // 2),
                  branch4=MaxPool(3, stride=1, padding=1) >> conv(pool, 1))


def stages(module: Convolution, **between: Spec) -> dict[str, Spec]:
    """Table 1 from inception (3a) to (5b), in order; `between` are the pools and the heads that stand between the modules."""
    made = {f"inception{name}": module(*widths) for name, widths in MODULES.items()} | between
    return {name: made[name] for name in ORDER if name in made}


def googlenet(classes: int = 1000, heads: bool = False) -> Spec:
    """GoogLeNet as torchvision has it: batch norm, and 3×3 in the branch where the paper has 5×5 (a mistake that its weights keep).

    6,624,904 parameters for 224×224×3, 13,004,888 with the two auxiliary heads (`heads`), which are trained with weight 0.3 and leave
    no trace in evaluation. torchvision's own weights were trained on images scaled to −1 … 1 (its transform_input).
    """
    head = Aux(Scope(_pool=AdaptiveAvgPool(4), conv=conv_bn(128, 1), _flatten=Flatten(),
                     fc1=Dense(1024), _relu=ReLU(), dropout=Dropout(0.7), fc2=Dense(classes)), weight=0.3)
    beside = {"aux1": head, "aux2": head} if heads else {}
    halved = MaxPool(3, stride=2, ceil_mode=True)
    return Scope(conv1=conv_bn(64, 7, stride=2, padding=3), maxpool1=halved,
                 conv2=conv_bn(64, 1), conv3=conv_bn(192, 3, padding=1), maxpool2=halved,
                 **stages(partial(inception, widest=3), maxpool3=halved, maxpool4=MaxPool(2, ceil_mode=True), **beside),
                 avgpool=GlobalAvgPool(), dropout=Dropout(0.2), fc=Dense(classes))


def googlenet_2014(classes: int = 1000, heads: bool = False) -> Spec:
    """GoogLeNet as it was published (table 1, figure 3): biases and local response normalisation, and 5×5 in the third branch.

    6,998,552 parameters for 224×224×3, 13,378,280 with the two auxiliary heads (`heads`; section 5), trained with weight 0.3.
    The paper does not say how it normalises; these are the numbers of Caffe's bvlc_googlenet.
    """
    head = Aux(Scope(_pool=AvgPool(5, stride=3), conv=conv_relu(128, 1), _flatten=Flatten(),
                     fc1=Dense(1024), _relu=ReLU(), dropout=Dropout(0.7), fc2=Dense(classes)), weight=0.3)
    beside = {"aux1": head, "aux2": head} if heads else {}
    halved = MaxPool(3, stride=2, ceil_mode=True)
    return Scope(conv1=conv_relu(64, 7, stride=2, padding=3), maxpool1=halved, _norm1=LRN(5, k=1.0),
                 conv2=conv_relu(64, 1), conv3=conv_relu(192, 3, padding=1), _norm2=LRN(5, k=1.0), maxpool2=halved,
                 **stages(partial(inception, conv=conv_relu), maxpool3=halved, maxpool4=halved, **beside),
                 avgpool=GlobalAvgPool(), dropout=Dropout(0.4), fc=Dense(classes))
