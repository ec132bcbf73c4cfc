"""Every total that the lecture prints, beside what it comes to, and why they differ where they do."""
from __future__ import annotations

from tinygradconv.spec.table import Sheet

from .columns import number, printed, text
from .counting import layers, macs, network, parameters, weights
from .inception import bottleneck, naive
from .vgg16 import vgg16

RIGHT = "right"


def totals() -> Sheet:
    """The lecture's totals: printed, computed, and the reason where they differ."""
    lenet, alexnet, vgg, googlenet = map(network, ("lenet5", "alexnet_2012", "vgg16", "googlenet_2014"))
    ratio = parameters(alexnet) / parameters(googlenet)
    values, learned = (vgg16().totals[0][i] for i in (2, 5))
    narrow, wide = (sheet.totals[0][3] for sheet in (bottleneck(), naive()))
    rows = (
        ("LeNet-5, parameters", "60K", parameters(lenet), "61,706 in today's common form; that of 1998 has 60,000"),
        ("AlexNet, first layer", "35K", weights(alexnet.steps[0]), "right; the slide leaves the 96 biases out"),
        ("AlexNet, parameters", "60 Million", parameters(alexnet), RIGHT),
        ("VGGNet, parameters", "140 million", parameters(vgg), "rounded; VGG16, with biases"),
        ("VGG16, weights", "138M", learned, "right; the slide leaves the 13,416 biases out"),
        ("VGG16, values in memory", "24M", values, "the sum of the rows that stand beside it; each row is right"),
        ("VGG16, bytes in memory", "96MB", 4 * values, f"4 bytes a value: {4 * values / 1e6:.0f} MB"),
        ("naive inception, operations", "854M", wide, RIGHT),
        ("inception with bottlenecks, operations", "353M", narrow,
         "the 5×5 term is misprinted with 264 channels for 64; the 358M that is widely copied counts the 3×3 term twice"),
        ("GoogLeNet, parameters", "5 million", parameters(googlenet),
         "12 times fewer than 60 million, as the paper says, would be 5 million; the rows of its table 1 add to 6.8 million"),
        ("GoogLeNet, times fewer than AlexNet", "12x", round(ratio, 1), f"{parameters(alexnet):,} / {parameters(googlenet):,}"),
        ("GoogLeNet, layers", "22", layers(googlenet), RIGHT),
        ("ResNet-152, layers", "152", layers(network("resnet152")), f"right; {macs(network('resnet152')):,} multiply-accumulates"),
    )
    return Sheet((text("what", "what"), printed("lecture"), number("computed", "computed"), text("why", "why", width=54)), rows,
                 name="totals", title="The lecture's totals")
