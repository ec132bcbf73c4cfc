"""The DSL carries the published networks: counts, paths and shapes as they are known, in a few lines each."""
from __future__ import annotations

import tracemalloc

import pytest

from tinygradconv.spec import (
    Aux,
    AvgPool,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    MaxPool,
    ReLU,
    Residual,
    Scope,
    Spec,
)


def bottleneck(width, stride=1, project=False):
    body = Scope(conv1=Conv(width, 1, bias=False), bn1=BatchNorm(), _relu1=ReLU(),
                 conv2=Conv(width, 3, stride=stride, padding=1, bias=False), bn2=BatchNorm(), _relu2=ReLU(),
                 conv3=Conv(4 * width, 1, bias=False), bn3=BatchNorm())
    shortcut = Conv(4 * width, 1, stride=stride, bias=False) >> BatchNorm() if project else Identity()
    return Scope(_sum=Residual(body, shortcut), relu=ReLU())


def resnet(depths):
    def stage(i, depth):
        return bottleneck(64 << i, 1 + (i > 0), True) >> bottleneck(64 << i) * (depth - 1)
    layers = {f"layer{i + 1}": stage(i, depth) for i, depth in enumerate(depths)}
    return Scope(conv1=Conv(64, 7, stride=2, padding=3, bias=False), bn1=BatchNorm(), relu=ReLU(), maxpool=MaxPool(3, stride=2, padding=1),
                 **layers, avgpool=GlobalAvgPool(), fc=Dense(1000))


def vgg(*plan):
    body = [(Conv(channels, 3, padding=1) >> ReLU()) * n >> MaxPool(2) for channels, n in plan]
    return Scope(features=Chain(*body), _flat=Flatten(), classifier=(Dense(4096) >> ReLU() >> Dropout()) * 2 >> Dense(1000))


def conv_relu(channels, kernel_size, padding=0):
    return Conv(channels, kernel_size, padding=padding) >> ReLU()


def inception(n1, r3, n3, r5, n5, pool):
    return Concat(branch1=conv_relu(n1, 1), branch2=conv_relu(r3, 1) >> conv_relu(n3, 3, 1),
        branch3=conv_relu(r5, 1) >> conv_relu(n5, 5, 2),
                  branch4=MaxPool(3, stride=1, padding=1) >> conv_relu(pool, 1))


def conv_bn_relu(channels, kernel_size, padding=0):
    return Scope(conv=Conv(channels, kernel_size, padding=padding, bias=False), bn=BatchNorm(epsilon=0.001), _relu=ReLU())


resnet50, resnet152 = resnet((3, 4, 6, 3)), resnet((3, 8, 36, 3))
vgg19 = vgg((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
alexnet_2012 = (Conv(96, 11, stride=4) >> ReLU() >> MaxPool(3, stride=2) >> Conv(256, 5, padding=2, groups=2) >> ReLU() >> MaxPool(3,
    stride=2)
                >> conv_relu(384, 3, 1) >> Conv(384, 3, padding=1, groups=2) >> ReLU() >> Conv(256, 3, padding=1, groups=2) >> ReLU()
                >> MaxPool(3, stride=2) >> Flatten() >> (Dense(4096) >> ReLU() >> Dropout()) * 2 >> Dense(1000))


@pytest.mark.parametrize(("spec", "shape", "parameters", "macs"), [
    (resnet50, (224, 224, 3), 25_557_032, 4_089_184_256),
    (resnet152, (224, 224, 3), 60_192_808, 11_513_626_624),
    (vgg19, (224, 224, 3), 143_667_240, 19_632_062_464),
    (alexnet_2012, (227, 227, 3), 60_965_224, 724_406_816),
    (inception(64, 96, 128, 16, 32, 32), (28, 28, 192), 163_696, 128_049_152),
], ids=["resnet50", "resnet152", "vgg19", "alexnet_2012", "inception3a"])
def test_published_counts(spec, shape, parameters, macs):
    totals = spec.table(shape).totals
    assert (totals["parameters"], totals["macs"]) == (parameters, macs)


def test_resnet50_has_torchvisions_paths():
    network = resnet50.infer((224, 224, 3))
    assert len(network.parameters) == 161 and len(network.buffers) == 2 * 53
    for path in ("conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.bias",
                 "layer4.2.bn3.weight", "fc.bias"):
        assert path in network.parameters
    assert "layer1.0.downsample.1.running_var" in network.buffers and "layer1.1.downsample.0.weight" not in network.parameters
    assert network.parameters["layer1.0.conv2.weight"].shape == (3, 3, 64, 64)
    assert network.steps[network.ends["layer3"]].shape == (14, 14, 1024)


def test_vgg19_and_googlenet_have_torchvisions_paths():
    paths = vgg19.infer((224, 224, 3)).parameters
    assert {"features.0.weight", "features.34.bias", "classifier.0.weight", "classifier.3.bias", "classifier.6.weight"} <= set(paths)
    block = Concat(branch1=conv_bn_relu(64, 1), branch2=conv_bn_relu(96, 1) >> conv_bn_relu(128, 3, 1))
    head = Aux(Scope(_pool=AvgPool(4), conv=conv_bn_relu(128, 1), _flat=Flatten(), fc1=Dense(1024), _relu=ReLU(), _drop=Dropout(0.7),
        fc2=Dense(10)))
    paths = Scope(inception3a=block, aux1=head).infer((8, 8, 3)).parameters
    assert {"inception3a.branch1.conv.weight", "inception3a.branch2.0.bn.weight", "inception3a.branch2.1.conv.weight",
        "aux1.conv.conv.weight",
            "aux1.fc2.bias"} <= set(paths)


def test_the_first_dense_after_the_convolutions_knows_what_was_flattened():
    steps = {step.path: step for step in vgg19.infer((224, 224, 3)).steps}
    assert steps["classifier.0"].flattened == ((7, 7, 512),) and steps["classifier.3"].flattened is None


def test_the_table_of_vgg19_allocates_nothing():
    vgg19.table((224, 224, 3))                          # imports and caches are not the table's
    tracemalloc.start()
    try:
        table = vgg19.table((224, 224, 3))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.totals["kept_bytes"] > 50e6 and peak < 3e6


@pytest.mark.parametrize("spec", [resnet152, vgg19, alexnet_2012], ids=["resnet152", "vgg19", "alexnet_2012"])
def test_json(spec):
    assert Spec.from_json(spec.to_json()) == spec
