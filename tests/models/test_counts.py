"""The models have the parameters and multiply-accumulates that are published for them."""
from __future__ import annotations

import pytest

from tinygradconv import models

PUBLISHED = {                 # parameters, and multiply-accumulates of convolutions and dense layers for one image
    "lenet5": (61_706, 416_520), "lenet5_1998": (60_000, 325_680),
    "alexnet": (61_100_840, 714_188_480), "alexnet_2012": (60_965_224, 724_406_816), "zfnet": (62_357_608, 1_168_032_896),
    "vgg11": (132_863_336, 7_609_090_048), "vgg13": (133_047_848, 11_308_466_176), "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11_bn": (132_868_840, 7_609_090_048), "vgg13_bn": (133_053_736, 11_308_466_176), "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
    "googlenet": (6_624_904, 1_498_376_192), "googlenet_2014": (6_998_552, 1_582_671_872),
    "resnet18": (11_689_512, 1_814_073_344), "resnet34": (21_797_672, 3_663_761_408), "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440), "resnet152": (60_192_808, 11_513_626_624),
    "resnet20": (269_722, 40_551_040), "resnet32": (464_154, 68_862_592), "resnet44": (658_586, 97_174_144),
    "resnet56": (853_018, 125_485_696), "resnet110": (1_727_962, 252_887_680),
}
TWINS = {f"plain{depth}": PUBLISHED[f"resnet{depth}"] for depth in (20, 32, 44, 56, 110)}        # option A's shortcuts have no parameters
WITH_HEADS = {"googlenet": 13_004_888, "googlenet_2014": 13_378_280}


def test_every_model_has_published_counts():
    assert set(models.MODELS) == {*PUBLISHED, *TWINS}
    assert {name for name, entry in models.MODELS.items() if entry.has_heads} == set(WITH_HEADS)


@pytest.mark.parametrize(("name", "counts"), [*PUBLISHED.items(), *TWINS.items()])
def test_published_counts(name, counts):
    spec, shape = models.get(name)
    totals = spec.table(shape).totals
    assert (totals["parameters"], totals["macs"]) == counts


@pytest.mark.parametrize(("name", "parameters"), WITH_HEADS.items())
def test_published_counts_with_heads(name, parameters):
    spec, shape = models.get(name, heads=True)
    assert spec.table(shape).totals["parameters"] == parameters


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_the_work_of_a_cifar_network_by_hand(depth):
    n = (depth - 2) // 6
    same = 16 * 16 * 9 * 32 * 32                          # a 3×3 convolution costs the same in each stage: half the places, twice squared
    by_hand = 3 * 16 * 9 * 32 * 32 + 6 * n * same - 2 * same // 2 + 64 * 10      # the first of stages 2 and 3 has half the inputs
    assert by_hand == PUBLISHED[f"resnet{depth}"][1]


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_plain_network_is_its_residual_twin_without_the_shortcuts(depth):
    plain, residual = models.get(f"plain{depth}")[0].infer((32, 32, 3)), models.get(f"resnet{depth}")[0].infer((32, 32, 3))
    assert plain.parameters == residual.parameters
    assert not any(step.kind in ("Residual", "PadChannels") for step in plain.steps)
    assert sum(step.kind == "Residual" for step in residual.steps) == (depth - 2) // 2
    assert sum(step.kind in ("Conv", "Dense") for step in plain.steps) == depth


def test_the_paths_are_torchvisions():
    resnet, vgg, alexnet = (set(models.get(name)[0].infer((224, 224, 3)).parameters) for name in ("resnet18", "vgg16", "alexnet"))
    assert {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.1.weight", "layer4.1.bn2.bias", "fc.bias"} <= resnet
    assert {"features.0.weight", "features.28.bias", "classifier.6.bias"} <= vgg
    assert alexnet == {f"{layer}.{name}" for name in ("weight", "bias") for layer in
                       ("features.0", "features.3", "features.6", "features.8", "features.10", "classifier.1", "classifier.4",
                        "classifier.6")}
