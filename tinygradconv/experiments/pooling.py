"""Kinds of pooling compared in one small network: maxima, means, L2 norms, weighted means, convolutions with a stride."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinygradconv.data.augment import Flip, PadCrop
from tinygradconv.spec import AvgPool, BatchNorm, Conv, Dense, DistancePool, GlobalAvgPool, LpPool, MaxPool, ReLU, Spec
from tinygradconv.train.recipe import Recipe

from .description import Expectation, Experiment, Form, Net
from .images import Images
from .results import Results, error, worse_by

SPRINGENBERG = "Springenberg et al. 2015, table 3, model C"
ZEILER = "Zeiler and Fergus 2013, table 1"
KRIZHEVSKY = "Krizhevsky, Sutskever and Hinton 2012, section 3.4"
RECIPE = Recipe("sgd", 0.1, epochs=8, batch_size=128, options={"momentum": 0.9, "nesterov": True, "decay": 5e-4}, warm_up=0.15,
                augment=PadCrop(2) >> Flip())

# How each kind halves an image of so many channels.
KINDS: dict[str, tuple[str, Callable[[int], Spec]]] = {
    "max": ("maxima of 2×2", lambda channels: MaxPool(2)),
    "max-overlapping": ("maxima of 3×3, overlapping", lambda channels: MaxPool(3, stride=2, padding=1)),
    "average": ("means of 2×2", lambda channels: AvgPool(2)),
    "l2": ("L2 norms of 2×2", lambda channels: LpPool(2)),
    "distance": ("means of 3×3, weighted by the distance from the middle", lambda channels: DistancePool(3, stride=2, padding=1)),
    "strided": ("a 3×3 convolution with stride 2", lambda channels: _conv(channels, stride=2)),
}


def _conv(channels: int, stride: int = 1) -> Spec:
    return Conv(channels, 3, stride=stride, padding=1, bias=False) >> BatchNorm() >> ReLU()


def network(pool: Callable[[int], Spec], width: int = 32, classes: int = 10) -> Spec:
    """Two convolutions, pool, two, pool, one, mean: `width` channels, twice as many after the first pool."""
    return (_conv(width) >> _conv(width) >> pool(width) >> _conv(2 * width) >> _conv(2 * width) >> pool(2 * width) >> _conv(2 * width)
            >> GlobalAvgPool() >> Dense(classes))


def form(says: str, images: Images, recipe: Recipe, width: int, seeds: int) -> Form:
    """Every kind from each seed, errors averaged over the seeds."""
    nets = tuple(Net(f"{kind}-seed{seed}", network(pool, width), images, recipe, seed, said + f", seed {seed}" * (seeds > 1))
                 for seed in range(seeds) for kind, (said, pool) in KINDS.items())

    def mean(kind: str) -> Callable[[Results], float]:
        return error(*(f"{kind}-seed{seed}" for seed in range(seeds)))

    def against_maxima(kind: str) -> Callable[[Results], float]:
        return worse_by(mean(kind), mean("max"))

    return Form(says, nets, (
        Expectation("means are worse than maxima by", against_maxima("average"), -2, 2, "not looked up", ZEILER, "points"),
        Expectation("overlapping maxima are worse than others by", against_maxima("max-overlapping"), -2, 1, "−0.4 points (ImageNet)",
                    KRIZHEVSKY, "points"),
        Expectation("a convolution with a stride in place of each pool is worse by", against_maxima("strided"), -3, 1.5, "−0.66 points",
                    SPRINGENBERG, "points"),
        Expectation("L2 norms are worse than maxima by", against_maxima("l2"), -2, 2, "not published", "the lecture names them", "points"),
        Expectation("weighted means are worse than maxima by", against_maxima("distance"), -2, 3, "not published", "the lecture names them",
                    "points")))


EXPERIMENT = Experiment(
    "pooling", "Kinds of pooling", "Does it matter how an image is made smaller? By less than one may think: that is what is asked.",
    ("Springenberg, Dosovitskiy, Brox and Riedmiller 2015, Striving for simplicity: the all convolutional net",
     "Zeiler and Fergus 2013, Stochastic pooling for regularization of deep convolutional neural networks",
     "Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks"),
    {"quick": lambda: form("one epoch on 256 of the shipped digits, 4 channels.", Images("digits", train=256, test=40),
                           replace(RECIPE, epochs=1, augment=None), 4, 1),
     "small": lambda: form("half of CIFAR-10 at 16×16 (means of 2×2 pixels), 8 epochs, 16 and 32 channels, one seed; a convolution takes "
                           "the place of a pool, and so adds a layer (All-CNN). The papers' networks are larger, and learn for hundreds of "
                           "epochs.",
                           Images("cifar-10", halved=1, train=25_000), RECIPE, 16, 1),
     "full": lambda: form("CIFAR-10, 60 epochs, 64 and 128 channels, three seeds.", Images("cifar-10"),
                          replace(RECIPE, epochs=60, augment=PadCrop(4) >> Flip()), 64, 3)})
