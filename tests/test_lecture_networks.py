"""The lecture's arithmetic of networks, against the spec's tables: sizes, parameters, memory and operation counts as printed.

The slides count weights and leave biases out; a K is a thousand, rounded. Totals that the lecture gets wrong are in docs/lecture.md.
"""
from __future__ import annotations

import pytest

from tinygradconv.geometry import ReceptiveField
from tinygradconv.models import lenet5
from tinygradconv.spec import Conv, Dense, Flatten, MaxPool


def rows(spec, shape):
    """The rows of a table that stand for a layer."""
    return [row for row in spec.table(shape).rows if row.kind not in ("Concat", "Chain")]


# ---- LeNet-5 and AlexNet

def test_lenet_has_only_60k_parameters():
    assert lenet5.table((28, 28, 1)).totals["parameters"] == 61_706


def test_alexnets_first_layers():
    conv1, pool1 = rows(Conv(96, 11, stride=4, bias=False) >> MaxPool(3, stride=2), (227, 227, 3))
    assert conv1.output == (55, 55, 96) and conv1.parameters == 11 * 11 * 3 * 96 == 34_848         # "35K"
    assert pool1.output == (27, 27, 96) and pool1.parameters == 0
    assert (227 - 11) / 4 + 1 == 55 and (55 - 3) / 2 + 1 == 27


# ---- VGG16, row by row as printed: layer, memory, parameters

def conv3(channels):
    return Conv(channels, 3, padding=1, bias=False)


VGG16 = [                     # layer, its output, memory as printed, parameters as printed
    (conv3(64), (224, 224, 64), "3.2M", 1_728),
    (conv3(64), (224, 224, 64), "3.2M", 36_864),
    (MaxPool(2), (112, 112, 64), "800K", 0),
    (conv3(128), (112, 112, 128), "1.6M", 73_728),
    (conv3(128), (112, 112, 128), "1.6M", 147_456),
    (MaxPool(2), (56, 56, 128), "400K", 0),
    (conv3(256), (56, 56, 256), "800K", 294_912),
    (conv3(256), (56, 56, 256), "800K", 589_824),
    (conv3(256), (56, 56, 256), "800K", 589_824),
    (MaxPool(2), (28, 28, 256), "200K", 0),
    (conv3(512), (28, 28, 512), "400K", 1_179_648),
    (conv3(512), (28, 28, 512), "400K", 2_359_296),
    (conv3(512), (28, 28, 512), "400K", 2_359_296),
    (MaxPool(2), (14, 14, 512), "100K", 0),
    (conv3(512), (14, 14, 512), "100K", 2_359_296),
    (conv3(512), (14, 14, 512), "100K", 2_359_296),
    (conv3(512), (14, 14, 512), "100K", 2_359_296),
    (MaxPool(2), (7, 7, 512), "25K", 0),
    (Dense(4096, bias=False), (4096,), "4096", 102_760_448),
    (Dense(4096, bias=False), (4096,), "4096", 16_777_216),
    (Dense(1000, bias=False), (1000,), "1000", 4_096_000),
]


def is_printed_as(values, text):
    """Whether a slide that rounds to a per cent would print `values` as `text`: 802,816 as 800K."""
    scale = {"K": 1e3, "M": 1e6}.get(text[-1], 1)
    return abs(float(text.rstrip("KM")) * scale / values - 1) < 0.01


@pytest.fixture(scope="module")
def vgg16():
    spec = VGG16[0][0]
    for layer, *_ in VGG16[1:-3]:
        spec = spec >> layer
    spec = spec >> Flatten() >> VGG16[-3][0] >> VGG16[-2][0] >> VGG16[-1][0]
    return [row for row in rows(spec, (224, 224, 3)) if row.kind != "Flatten"]


@pytest.mark.parametrize("i", range(len(VGG16)))
def test_each_row_of_vgg16(vgg16, i):
    _, output, memory, parameters = VGG16[i]
    row = vgg16[i]
    assert (row.output, row.parameters) == (output, parameters)
    assert is_printed_as(row.activation_bytes // 4, memory)


def test_vgg16s_totals(vgg16):
    assert sum(row.parameters for row in vgg16) == 138_344_128                            # "138M": without the 13,416 biases
    memory = 224 * 224 * 3 + sum(row.activation_bytes // 4 for row in vgg16)
    assert is_printed_as(224 * 224 * 3, "150K") and memory == 15_237_608                  # 61 MB; "24M" is not their sum


def test_the_check_of_a_printed_number_can_fail():
    assert not is_printed_as(112 * 112 * 64, "1.6M") and not is_printed_as(4096, "4000")


# ---- why small filters

@pytest.mark.parametrize("channels", [1, 16, 64])
def test_three_3x3_see_what_one_7x7_does_with_fewer_weights(channels):
    stack, single = (spec.table((32, 32, channels)) for spec in (conv3(channels) * 3, Conv(channels, 7, padding=3, bias=False)))
    assert stack.rows[-1].receptive_field == single.rows[-1].receptive_field == (7, 7)
    assert stack.totals["parameters"] == 3 * (3 ** 2 * channels ** 2) and single.totals["parameters"] == 7 ** 2 * channels ** 2
    seen = ReceptiveField()
    for _ in range(3):
        seen = seen.through((3, 3), (1, 1))
    assert seen.field == (7, 7)


# ---- the inception module

NAIVE = Conv(128, 1) | Conv(192, 3, padding=1) | Conv(96, 5, padding=2) | MaxPool(3, stride=1, padding=1)
BOTTLENECK = (Conv(128, 1) | Conv(64, 1) >> Conv(192, 3, padding=1) | Conv(64, 1) >> Conv(96, 5, padding=2)
              | MaxPool(3, stride=1, padding=1) >> Conv(64, 1))


def test_the_naive_inception_module():
    table = NAIVE.table((28, 28, 256))
    assert [row.output for row in rows(NAIVE, (28, 28, 256))] == [(28, 28, channels) for channels in (128, 192, 96, 256)]
    assert table.rows[-1].output == (28, 28, 128 + 192 + 96 + 256) == (28, 28, 672)
    terms = [28 * 28 * 128 * 1 * 1 * 256, 28 * 28 * 192 * 3 * 3 * 256, 28 * 28 * 96 * 5 * 5 * 256]
    assert [row.macs for row in rows(NAIVE, (28, 28, 256))][:3] == terms
    assert table.totals["macs"] == sum(terms) == 854_196_224                                  # "854M ops"


def test_the_bottleneck_inception_module_and_its_misprint():
    """The 5×5 term is printed with 264 input channels; the 1×1 before it leaves 64. The total is printed as 353M."""
    table = BOTTLENECK.table((28, 28, 256))
    printed = [28 * 28 * 64 * 1 * 1 * 256, 28 * 28 * 64 * 1 * 1 * 256, 28 * 28 * 128 * 1 * 1 * 256,
               28 * 28 * 192 * 3 * 3 * 64, 28 * 28 * 96 * 5 * 5 * 264, 28 * 28 * 64 * 1 * 1 * 256]
    right = [*printed[:4], 28 * 28 * 96 * 25 * 64, printed[5]]
    assert table.totals["macs"] == sum(right) == 271_351_808
    assert sum(printed) == 647_671_808                                                    # neither is 353M
    assert sum(right) + right[3] == 358_055_936                                           # the widely copied 358M: the 3×3 term twice
