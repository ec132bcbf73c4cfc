"""What was published and what the slides print: numbers that this program cannot compute, each with its source.

The lecture is "Introduction to Deep Learning for Engineers", session 8 of spring 2025 (A. Barati Farimani, Carnegie Mellon University).
Errors are in per cent, as printed.
"""
from __future__ import annotations

from typing import NamedTuple

# The paper of each family of networks, by what the names of its networks begin with: who and when, and its title.
PAPERS = {
    "lenet": ("LeCun, Bottou, Bengio and Haffner 1998", "Gradient-based learning applied to document recognition"),
    "alexnet": ("Krizhevsky, Sutskever and Hinton 2012", "ImageNet classification with deep convolutional neural networks"),
    "zfnet": ("Zeiler and Fergus 2014", "Visualizing and understanding convolutional networks"),
    "vgg": ("Simonyan and Zisserman 2015", "Very deep convolutional networks for large-scale image recognition"),
    "googlenet": ("Szegedy et al. 2015", "Going deeper with convolutions"),
    "resnet": ("He, Zhang, Ren and Sun 2016", "Deep residual learning for image recognition"),
    "plain": ("He, Zhang, Ren and Sun 2016", "Deep residual learning for image recognition"),
}


class Rival(NamedTuple):
    """A method and its errors on the test images of ILSVRC 2010."""

    method: str
    top1: float
    top5: float
    model: str | None


# Krizhevsky et al. 2012, table 1; the slide prints the same.
ILSVRC_2010 = (Rival("Sparse coding", 47.1, 28.2, None), Rival("SIFT + FVs", 45.7, 25.7, None),
               Rival("CNN (AlexNet)", 37.5, 17.0, "alexnet_2012"))


class Entry(NamedTuple):
    """An entry to the challenge: its top-5 error on the test images, how many layers its slide or paper gives it, what the slides print."""

    year: int
    place: str
    name: str
    layers: int | None
    top5: float
    printed: str | None
    model: str | None
    source: str


# "Shallow" entries have no layers. An error is that of the whole entry, of several networks as a rule.
ILSVRC = (
    Entry(2010, "1st", "NEC-UIUC (Lin et al.)", None, 28.2, None, None, "results of ILSVRC 2010"),
    Entry(2011, "1st", "XRCE (Sánchez and Perronnin)", None, 25.8, None, None, "results of ILSVRC 2011"),
    Entry(2012, "1st", "AlexNet, 5 networks", 8, 16.4, None, "alexnet_2012", "Krizhevsky et al. 2012, table 2"),
    Entry(2012, "1st", "AlexNet, 7 networks, more images", 8, 15.3, "15.3%", "alexnet_2012", "Krizhevsky et al. 2012, table 2"),
    Entry(2012, "2nd", "SIFT + FVs", None, 26.2, "26.2%", None, "Krizhevsky et al. 2012, table 2"),
    Entry(2013, "1st", "ZFNet (Clarifai)", 8, 11.7, "11.7%", "zfnet", "Szegedy et al. 2015, table 2"),
    Entry(2014, "2nd", "VGG", 19, 7.32, "7.3%", "vgg19", "Szegedy et al. 2015, table 2"),
    Entry(2014, "1st", "GoogLeNet", 22, 6.67, "6.7%", "googlenet_2014", "Szegedy et al. 2015, table 2"),
    Entry(2015, "1st", "ResNet", 152, 3.57, None, "resnet152", "He et al. 2016, table 5"),
)
# "ImageNet large scale visual recognition challenge".
HUMAN = (5.1, "Russakovsky et al. 2015, section 6.4")


class Single(NamedTuple):
    """One network's errors on the validation images of ILSVRC 2012, averaged over ten crops of each; None where none is published."""

    model: str
    top1: float | None
    top5: float
    source: str


TEN_CROPS = (
    Single("alexnet_2012", 40.7, 18.2, "Krizhevsky et al. 2012, table 2"),
    Single("zfnet", 38.4, 16.5, "Zeiler and Fergus 2014, table 2"),
    Single("vgg16", 28.07, 9.33, "He et al. 2016, table 3"),
    Single("googlenet_2014", None, 9.15, "Szegedy et al. 2015, table 3"),
    Single("resnet34", 24.52, 7.46, "He et al. 2016, table 3, option B"),
    Single("resnet50", 22.85, 6.71, "He et al. 2016, table 3"),
    Single("resnet101", 21.75, 6.05, "He et al. 2016, table 3"),
    Single("resnet152", 21.43, 5.71, "He et al. 2016, table 3"),
)


class Ablation(NamedTuple):
    """AlexNet without some of its layers: errors on the validation images of ILSVRC 2012, and what a slide says of it."""

    removed: tuple[int, ...]
    top1: float
    top5: float
    printed_parameters: str | None
    printed_drop: str | None


# Zeiler and Fergus 2014, table 3: a replication of AlexNet; the slides are from a talk of Fergus's, with other numbers for the drop.
ABLATIONS = (Ablation((), 40.5, 18.1, None, None), Ablation((3, 4), 45.4, 22.1, None, None),
             Ablation((7,), 40.0, 18.4, "~16 million", "1.1%"), Ablation((6, 7), 44.8, 22.4, None, None),
             Ablation((3, 4, 6, 7), 71.3, 50.1, "~50 million", "33.5%"))

# The slide of VGG16, row by row: memory and parameters. It counts weights, no biases; a K is a thousand, rounded.
VGG16 = (
    ("150K", "0"), ("3.2M", "1,728"), ("3.2M", "36,864"), ("800K", "0"), ("1.6M", "73,728"), ("1.6M", "147,456"), ("400K", "0"),
    ("800K", "294,912"), ("800K", "589,824"), ("800K", "589,824"), ("200K", "0"),
    ("400K", "1,179,648"), ("400K", "2,359,296"), ("400K", "2,359,296"), ("100K", "0"),
    ("100K", "2,359,296"), ("100K", "2,359,296"), ("100K", "2,359,296"), ("25K", "0"),
    ("4096", "102,760,448"), ("4096", "16,777,216"), ("1000", "4,096,000"),
)
VGG16_TOTALS = ("24M", "138M")
VGG16_BYTES = "96MB"

# AlexNet's arithmetic as the slides print it, by layer: (output volume, parameters).
ALEXNET = {"CONV1": ("55x55x96", "35K"), "MAX POOL1": ("27x27x96", "0")}
