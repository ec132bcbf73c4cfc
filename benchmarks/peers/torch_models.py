"""The networks of `tinygradconv.models` as plain torch.nn modules, with the same parameter paths. Images are (N, C, H, W) here.

The classes are made when they are first asked for: this module can be imported without PyTorch.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .torch_side import the_torch


def lenet5() -> Any:
    """LeNet-5 in its common form, 61,706 parameters."""
    nn = the_torch().nn
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
                         nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


@cache
def basic_block() -> type:
    """The class of the block of two 3×3 convolutions and a shortcut (He et al. 2016, table 1)."""
    torch = the_torch()
    nn, functional = torch.nn, torch.nn.functional

    class BasicBlock(nn.Module):
        """relu(shortcut(x) + bn2(conv2(relu(bn1(conv1(x))))))."""

        def __init__(self, inputs: int, width: int, stride: int, shortcut: Any | None) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.downsample = shortcut

        def forward(self, x: Any) -> Any:
            """As in the class's first line."""
            y = functional.relu(self.bn1(self.conv1(x)))
            return functional.relu(self.bn2(self.conv2(y)) + (x if self.downsample is None else self.downsample(x)))

    return BasicBlock


@cache
def subsampled() -> type:
    """The class of the shortcut without parameters: every second pixel, and channels of zeros on both sides (option A)."""
    torch = the_torch()

    class Subsampled(torch.nn.Module):
        """x[:, :, ::2, ::2] between zeros."""

        def __init__(self, inputs: int, width: int) -> None:
            super().__init__()
            self.zeros = (width - inputs) // 2

        def forward(self, x: Any) -> Any:
            """As in the class's first line."""
            return torch.nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.zeros, self.zeros))

    return Subsampled


def projection(inputs: int, width: int) -> Any:
    """The shortcut of a 1×1 convolution (option B)."""
    nn = the_torch().nn
    return nn.Sequential(nn.Conv2d(inputs, width, 1, 2, bias=False), nn.BatchNorm2d(width))


def residual(stem: dict[str, Any], widths: tuple[int, ...], depth: int, shortcut: Callable[[int, int], Any], classes: int) -> Any:
    """A stem, stages of `depth` blocks of the given widths, each but the first halving the image, the mean of each channel, the classes."""
    nn = the_torch().nn
    network, inputs = nn.Sequential(), widths[0]
    for name, module in stem.items():
        network.add_module(name, module)
    for number, width in enumerate(widths, 1):
        first = basic_block()(inputs, width, 1 + (number > 1), shortcut(inputs, width) if number > 1 else None)
        network.add_module(f"layer{number}", nn.Sequential(first, *(basic_block()(width, width, 1, None) for _ in range(depth - 1))))
        inputs = width
    network.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc", nn.Linear(inputs, classes))
    return network


def cifar_resnet(depth: int) -> Any:
    """ResNet-20, 32, … of 6n + 2 layers for 32×32, shortcuts of option A."""
    nn = the_torch().nn
    stem = {"conv1": nn.Conv2d(3, 16, 3, 1, 1, bias=False), "bn1": nn.BatchNorm2d(16), "relu": nn.ReLU()}
    return residual(stem, (16, 32, 64), (depth - 2) // 6, lambda inputs, width: subsampled()(inputs, width), 10)


def resnet18() -> Any:
    """ResNet-18 for photographs."""
    nn = the_torch().nn
    stem = {"conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(64), "relu": nn.ReLU(),
            "maxpool": nn.MaxPool2d(3, 2, 1)}
    return residual(stem, (64, 128, 256, 512), 2, projection, 1000)


def cifar_resnet18() -> Any:
    """ResNet-18 for 32×32: a 3×3 convolution for a stem, and no pool after it."""
    nn = the_torch().nn
    stem = {"conv1": nn.Conv2d(3, 64, 3, 1, 1, bias=False), "bn1": nn.BatchNorm2d(64), "relu": nn.ReLU()}
    return residual(stem, (64, 128, 256, 512), 2, projection, 10)


@cache
def bottleneck() -> type:
    """The class of the block of a 1×1, a 3×3 and a 1×1 convolution and a shortcut (He et al. 2016, figure 5)."""
    torch = the_torch()
    nn, functional = torch.nn, torch.nn.functional

    class Bottleneck(nn.Module):
        """relu(shortcut(x) + bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))))."""

        def __init__(self, inputs: int, width: int, stride: int, shortcut: Any | None) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            self.downsample = shortcut

        def forward(self, x: Any) -> Any:
            """As in the class's first line."""
            y = functional.relu(self.bn1(self.conv1(x)))
            y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
            return functional.relu(y + (x if self.downsample is None else self.downsample(x)))

    return Bottleneck


def resnet50() -> Any:
    """ResNet-50 for photographs."""
    nn = the_torch().nn
    network = nn.Sequential()
    for name, module in {"conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(64), "relu": nn.ReLU(),
                         "maxpool": nn.MaxPool2d(3, 2, 1)}.items():
        network.add_module(name, module)
    inputs = 64
    for number, (width, depth) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3)), 1):
        shortcut = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, 1 + (number > 1), bias=False), nn.BatchNorm2d(4 * width))
        first = bottleneck()(inputs, width, 1 + (number > 1), shortcut)
        network.add_module(f"layer{number}", nn.Sequential(first, *(bottleneck()(4 * width, width, 1, None) for _ in range(depth - 1))))
        inputs = 4 * width
    for name, module in {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(2048, 1000)}.items():
        network.add_module(name, module)
    return network


def vgg16() -> Any:
    """VGG-16, configuration D."""
    nn = the_torch().nn
    features, inputs = nn.Sequential(), 3
    for width, depth in zip((64, 128, 256, 512, 512), (2, 2, 3, 3, 3)):
        for _ in range(depth):
            features.extend([nn.Conv2d(inputs, width, 3, 1, 1), nn.ReLU()])
            inputs = width
        features.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(nn.Linear(7 * 7 * 512, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
                               nn.Linear(4096, 1000))
    network = nn.Sequential()
    for name, module in {"features": features, "flatten": nn.Flatten(), "classifier": classifier}.items():
        network.add_module(name, module)
    return network


MODELS: dict[str, Callable[[], Any]] = {
    "lenet5": lenet5, "resnet18": resnet18, "resnet50": resnet50, "vgg16": vgg16, "cifar_resnet18": cifar_resnet18,
    **{f"resnet{depth}": lambda depth=depth: cifar_resnet(depth) for depth in (20, 32, 44, 56, 110)},
}
