"""The models have the parameters and multiply-accumulates that are published for them."""
from __future__ import annotations

import pytest

from tinygradconv import models

PUBLISHED = {
    "lenet5": (61_706, 416_520),
    "vgg11": (132_863_336, 7_609_090_048), "vgg13": (133_047_848, 11_308_466_176), "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11_bn": (132_868_840, 7_609_090_048), "vgg13_bn": (133_053_736, 11_308_466_176), "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
    "resnet18": (11_689_512, 1_814_073_344), "resnet34": (21_797_672, 3_663_761_408), "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440), "resnet152": (60_192_808, 11_513_626_624),
    "resnet20": (269_722, 40_551_040), "resnet32": (464_154, None), "resnet44": (658_586, None), "resnet56": (853_018, None),
    "resnet110": (1_727_962, 252_887_680),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    spec, shape = models.get(name)
    totals = spec.table(shape).totals
    parameters, macs = PUBLISHED[name]
    assert totals["parameters"] == parameters
    assert macs is None or totals["macs"] == macs


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_plain_network_is_its_residual_twin_without_the_shortcuts(depth):
    plain, residual = models.get(f"plain{depth}")[0].infer((32, 32, 3)), models.get(f"resnet{depth}")[0].infer((32, 32, 3))
    assert plain.parameters == residual.parameters
    assert not any(step.kind in ("Residual", "PadChannels") for step in plain.steps)
    assert sum(step.kind == "Residual" for step in residual.steps) == (depth - 2) // 2
    assert sum(step.kind in ("Conv", "Dense") for step in plain.steps) == depth


def test_the_paths_are_torchvisions():
    resnet, vgg = (set(models.get(name)[0].infer((224, 224, 3)).parameters) for name in ("resnet18", "vgg16"))
    assert {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.1.weight", "layer4.1.bn2.bias", "fc.bias"} <= resnet
    assert {"features.0.weight", "features.28.bias", "classifier.6.bias"} <= vgg
