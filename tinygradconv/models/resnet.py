"""Residual networks (He, Zhang, Ren and Sun 2016, "Deep residual learning for image recognition") and their plain twins.

Parameter paths are torchvision's: layer1.0.conv1.weight, layer2.0.downsample.0.weight, fc.bias.
"""
from __future__ import annotations

from tinygradconv.spec import BatchNorm, Conv, Dense, GlobalAvgPool, Identity, MaxPool, PadChannels, ReLU, Residual, Scope, Spec, Subsample

from .depths import of_depth


def basic(width: int, stride: int = 1, shortcut: Spec = Identity()) -> Spec:  # noqa: B008  (a spec is a value)
    """Two 3×3 convolutions and a shortcut around them: the block of ResNet-18 and 34 (table 1)."""
    body = Scope(conv1=Conv(width, 3, stride=stride, padding=1, bias=False), bn1=BatchNorm(), _relu1=ReLU(),
                 conv2=Conv(width, 3, padding=1, bias=False), bn2=BatchNorm())
    return Scope(_sum=Residual(body, shortcut), relu=ReLU())


def bottleneck(width: int, stride: int = 1, shortcut: Spec = Identity()) -> Spec:  # noqa: B008
    """1×1 to `width` channels, 3×3, 1×1 to four times as many, and a shortcut: the block of ResNet-50 and deeper (figure 5).

    The stride is in the 3×3, as in torchvision; the paper has it in the first 1×1.
    """
    body = Scope(conv1=Conv(width, 1, bias=False), bn1=BatchNorm(), _relu1=ReLU(),
                 conv2=Conv(width, 3, stride=stride, padding=1, bias=False), bn2=BatchNorm(), _relu2=ReLU(),
                 conv3=Conv(4 * width, 1, bias=False), bn3=BatchNorm())
    return Scope(_sum=Residual(body, shortcut), relu=ReLU())


def projection(width: int, stride: int) -> Spec:
    """The shortcut where a stage begins: a 1×1 convolution to the new width (option B)."""
    return Conv(width, 1, stride=stride, bias=False) >> BatchNorm()


# Table 1: the block, how many times its width it puts out, and how many there are in each stage.
DEPTHS = {18: (basic, 1, (2, 2, 2, 2)), 34: (basic, 1, (3, 4, 6, 3)),
          50: (bottleneck, 4, (3, 4, 6, 3)), 101: (bottleneck, 4, (3, 4, 23, 3)), 152: (bottleneck, 4, (3, 8, 36, 3))}


def resnet(depth: int, classes: int = 1000) -> Spec:
    """A ResNet of `depth` layers for photographs: four stages of blocks, 64 to 512 wide, each but the first halving the image.

    ValueError for a depth that is not among DEPTHS.
    """
    block, widening, repeats = of_depth("resnet", depth, DEPTHS)
    stages = {}
    for i, copies in enumerate(repeats):
        width, stride = 64 << i, 1 if i == 0 else 2
        begins = projection(widening * width, stride) if stride > 1 or widening > 1 else Identity()
        stages[f"layer{i + 1}"] = block(width, stride, begins) >> block(width) * (copies - 1)
    return Scope(conv1=Conv(64, 7, stride=2, padding=3, bias=False), bn1=BatchNorm(), relu=ReLU(), maxpool=MaxPool(3, stride=2, padding=1),
                 **stages, avgpool=GlobalAvgPool(), fc=Dense(classes))


def subsampled(width: int) -> Spec:
    """The shortcut without parameters: every second pixel, and channels of zeros (option A)."""
    return Subsample(2) >> PadChannels(width)


CIFAR_DEPTHS = (20, 32, 44, 56, 110)


def cifar(depth: int, residual: bool = True, classes: int = 10, width: int = 16) -> Spec:
    """A network of 6n + 2 layers for 32×32 (section 4.2): three stages of n blocks, 1, 2 and 4 times `width` wide; plain: no shortcuts.

    ValueError unless depth is 6n + 2 for an n of at least 2.
    """
    n, rest = divmod(depth - 2, 6)
    if rest or n < 2:
        raise ValueError(f"cifar: depth must be 6n + 2 with n = 2 or more, such as 20, 32 or 110; got {depth!r}")

    def block(channels: int, stride: int = 1) -> Spec:
        spec = basic(channels, stride, Identity() if stride == 1 else subsampled(channels))
        return spec if residual else Scope(_body=dict(spec.children())["_sum"].body, relu=ReLU())

    stages = {f"layer{i + 1}": block(width << i, 1 + (i > 0)) >> block(width << i) * (n - 1) for i in range(3)}
    return Scope(conv1=Conv(width, 3, padding=1, bias=False), bn1=BatchNorm(), relu=ReLU(),
                 **stages, avgpool=GlobalAvgPool(), fc=Dense(classes))
