"""AlexNet without some of its layers, in small: depth is what makes it good (Krizhevsky et al. 2012, Zeiler and Fergus 2014)."""
from __future__ import annotations

from dataclasses import replace

from tinygradconv.data.augment import Flip, PadCrop
from tinygradconv.explain.lecture import cited
from tinygradconv.spec import LRN, Chain, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Spec
from tinygradconv.train.recipe import Recipe

from .description import Expectation, Experiment, Form, Net
from .images import Images
from .results import Measure, error, worse_by

MIDDLE = "Krizhevsky, Sutskever and Hinton 2012, section 7"
TABLE_3 = "Zeiler and Fergus 2014, table 3 (top-1)"
INFINITY = float("inf")
RECIPE = Recipe("adam", 1e-3, epochs=8, batch_size=64, options={"decay": 1e-2, "decoupled": True}, warm_up=0.1,
                augment=PadCrop(2) >> Flip())
REMOVED = ((), (3,), (4,), (5,), (3, 4), (7,), (6, 7), (3, 4, 6, 7))


def narrow_alexnet(removed: tuple[int, ...] = (), classes: int = 10, width: int = 8) -> Spec:
    """AlexNet's eight layers for 16×16, without those of `removed`, counted from 1: narrower, with small windows, without pool 2.

    Dropout takes a quarter where AlexNet's takes half: a network this narrow does not overfit in a few epochs.
    """
    norm, pool = LRN(5, alpha=5e-4), MaxPool(3, stride=2)
    layers = {1: Conv(3 * width, 5, padding=2) >> ReLU() >> norm >> pool, 2: Conv(6 * width, 5, padding=2) >> ReLU() >> norm,
              3: Conv(8 * width, 3, padding=1) >> ReLU(), 4: Conv(8 * width, 3, padding=1) >> ReLU(),
              5: Conv(6 * width, 3, padding=1) >> ReLU(), "pool": pool, "flat": Flatten(),
              6: Dense(64 * width) >> ReLU() >> Dropout(0.25), 7: Dense(64 * width) >> ReLU() >> Dropout(0.25), 8: Dense(classes)}
    return Chain(*(layer for number, layer in layers.items() if number not in removed))


def key(removed: tuple[int, ...]) -> str:
    """whole, without-3, without-3-4, …"""
    return "without-" + "-".join(map(str, removed)) if removed else "whole"


def form(says: str, images: Images, recipe: Recipe, width: int, seeds: int) -> Form:
    """Every network from each seed, errors averaged over the seeds."""
    def said(removed: tuple[int, ...], seed: int) -> str:
        name = f"without {', '.join(map(str, removed))}" if removed else "all eight layers"
        return f"{name}, seed {seed}" if seeds > 1 else name

    def keys(removed: tuple[int, ...]) -> list[str]:
        return [f"{key(removed)}-seed{seed}" for seed in range(seeds)]

    def cost(*removed: int) -> Measure:
        return worse_by(error(*keys(removed)), error(*keys(())))

    nets = tuple(Net(keys(removed)[seed], narrow_alexnet(removed, width=width), images, recipe, seed, said(removed, seed))
                 for seed in range(seeds) for removed in REMOVED)
    top1 = {one.removed: one.top1 for one in cited.ABLATIONS}

    def published(*removed: int) -> str:
        return f"{top1[removed] - top1[()]:.1f} points".replace("-", "−")

    middle = tuple(Expectation(f"without layer {number} the error is larger by", cost(number), 0, INFINITY, "about 2 points", MIDDLE,
                               "points") for number in (3, 4, 5))
    return Form(says, nets, (
        *middle,
        Expectation("without layers 3 and 4 larger by", cost(3, 4), 0, INFINITY, published(3, 4), TABLE_3, "points"),
        Expectation("without layer 7 larger by (little)", cost(7), -2, 2, published(7), TABLE_3, "points"),
        Expectation("without layers 6 and 7 larger by", cost(6, 7), 0, INFINITY, published(6, 7), TABLE_3, "points"),
        Expectation("without layers 3, 4, 6 and 7 larger by", cost(3, 4, 6, 7), 0, INFINITY, published(3, 4, 6, 7), TABLE_3, "points")))


QUICK = replace(RECIPE, epochs=1, augment=None)
EXPERIMENT = Experiment(
    "removal", "AlexNet with layers removed",
    "What does AlexNet lose with each of its layers? The papers remove them on ImageNet; here a narrow AlexNet loses them on CIFAR-10, and "
    "the sign of each difference is what is asked.",
    ("Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks",
     "Zeiler and Fergus 2014, Visualizing and understanding convolutional networks"),
    {"quick": lambda: form("one epoch on 256 of the shipped digits, a quarter of the width.", Images("digits", train=256, test=40), QUICK,
                           2, 1),
     "small": lambda: form("half of CIFAR-10 at 16×16 (means of 2×2 pixels), 8 epochs, one seed.",
                           Images("cifar-10", halved=1, train=25_000), RECIPE, 8, 1),
     "full": lambda: form("CIFAR-10 at 16×16, 60 epochs, four times the width, three seeds.", Images("cifar-10", halved=1),
                          replace(RECIPE, epochs=60), 32, 3)})
