"""A small network here and in PyTorch, with the same weights: the oracle for what a model does with its parts."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv import Tensor
from tinygradconv.spec import BatchNorm, Conv, Dense, GlobalAvgPool, ReLU, Residual, Scope

SHAPE = (9, 7, 3)


def block(width, stride=1):
    body = Scope(conv1=Conv(width, 3, stride=stride, padding=1, bias=False), bn1=BatchNorm(), _relu=ReLU(),
                 conv2=Conv(width, 3, padding=1), bn2=BatchNorm())
    return Scope(_sum=Residual(body, Conv(width, 1, stride=stride) >> BatchNorm()), relu=ReLU())


SMALL = Scope(conv1=Conv(5, 3), bn1=BatchNorm(), relu=ReLU(), layer1=block(4) >> block(6, 2), layer2=block(7) * 1, avgpool=GlobalAvgPool(),
              fc=Dense(3))


def images(n=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *SHAPE))


def twins(seed=1):
    """(the model SMALL, the same in PyTorch, with PyTorch's submodules under the same paths)."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, width, stride=1):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width)
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride), nn.BatchNorm2d(width))
            self.relu = nn.ReLU()

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.downsample(x))

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1, self.relu = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()
            self.layer1, self.layer2 = nn.Sequential(Block(5, 4), Block(4, 6, 2)), nn.Sequential(Block(6, 7))
            self.fc = nn.Linear(7, 3)

        def forward(self, x):
            return self.fc(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x))))).mean((2, 3)))

    model, theirs = SMALL.build(SHAPE, seed=seed, dtype="float64"), Small().double()
    rng = np.random.default_rng(seed)
    for path, buffer in model.buffers.items():
        model.buffers[path] = Tensor(rng.uniform(0.5, 1.5, buffer.shape))
    ours, named = {**model.parameters, **model.buffers}, {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}
    assert set(ours) == {path for path in named if "num_batches" not in path}
    with torch.no_grad():
        for path, tensor in ours.items():
            named[path].copy_(torch.from_numpy(outside(tensor.numpy()).copy()))
    return model, theirs


def outside(array):
    """Weights, gradients and images as PyTorch lays them out."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T


def picture(array):
    """A batch of images, channels first."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
