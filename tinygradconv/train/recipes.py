"""Recipes by name, for a network and a data set: what its paper says, and what is fast here.

    paper   as in the paper that the network comes from, on the data that it was trained on
    fast    few epochs: one cycle of the learning rate, label smoothing
    adam    Adam with decoupled weight decay; works for anything, best for nothing
    sgd     Nesterov's momentum; the same

Where a paper leaves something open, the comment beside says what was chosen.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tinygradconv.data.augment import Distort, Flip, Lighting, PadCrop, RandomResizedCrop

from .recipe import Recipe

MOMENTUM = {"momentum": 0.9}
NESTEROV = {"momentum": 0.9, "nesterov": True, "decay": 5e-4}

ANY = {
    "adam": Recipe("adam", 2e-3, epochs=10, batch_size=64, options={"decay": 1e-2, "decoupled": True}, warm_up=0.05),
    "sgd": Recipe("sgd", 0.05, epochs=10, batch_size=64, options=NESTEROV, warm_up=0.05),
}

# He, Zhang, Ren and Sun 2016, section 4.2: 64,000 steps, a tenth of the rate after 32,000 and 48,000; 164 epochs of 391 steps are 64,124.
CIFAR = Recipe("sgd", 0.1, epochs=164, batch_size=128, options={**MOMENTUM, "decay": 1e-4}, schedule="drops",
               schedule_options={"at": (0.5, 0.75)}, augment=PadCrop(4) >> Flip())
# There: 0.01 until the training error is below 80 %, "about 400 iterations". The drops stay after 32,000 and 48,000 steps of the whole.
CIFAR_110 = dataclasses.replace(CIFAR, warm_up=400 / 64_000, warm_up_rate=0.01,
                                schedule_options={"at": (31_600 / 63_600, 47_600 / 63_600)})
# So small a network does not fit the images in so few epochs: half the paper's border, and no smoothing.
CIFAR_FAST = Recipe("sgd", 0.3, epochs=12, batch_size=128, options=NESTEROV, schedule="one-cycle", schedule_options={"rise": 0.25},
                    augment=PadCrop(2) >> Flip())

# LeCun, Bottou, Bengio and Haffner 1998, section III.B: 20 passes, one image at a time, the global rate 5 for two passes, 2 for three,
# 1 for three, 0.5 for four, then 0.1 (times 10⁻⁴). There each weight's own rate follows its curvature; here it is one rate for all, whose
# height is ours. The loss is cross-entropy, as the common form of LeNet-5 ends in 10 scores.
LENET = Recipe("sgd", 0.016, epochs=20, batch_size=1, schedule="drops",
               schedule_options={"at": (0.1, 0.25, 0.4, 0.6), "factor": (0.4, 0.5, 0.5, 0.2)})
# Without distortions 1,437 images teach to 93 %, with these to 98 %: the test digits are by other writers.
DIGITS_FAST = Recipe("sgd", 0.1, epochs=30, batch_size=64, options=NESTEROV, warm_up=0.1,
                     augment=Distort(rotation=0.3, scale=0.2, shear=0.3, shift=3.0))
MNIST_FAST = Recipe("adam", 3e-3, epochs=5, batch_size=64, warm_up=0.05,
                    augment=Distort(rotation=0.15, scale=0.1, shear=0.1, shift=1.0))

# The papers take crops of 224×224 out of 256×256 at random; a data set here has one size, so an image is moved as far within a border.
# They divide the rate by ten "when the validation error stopped improving"; where they say how often, that is spread over the training.
MOVED = PadCrop(16) >> Flip()
# The colours of ImageNet's pixels between 0 and 1: eigenvalues and eigenvectors, as the networks of fb.resnet.torch have them.
IMAGENET = Lighting((0.2175, 0.0188, 0.0045), ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)))
# Krizhevsky, Sutskever and Hinton 2012, sections 4.1 and 5: about 90 passes, the rate divided three times.
ALEXNET = Recipe("sgd", 0.01, epochs=90, batch_size=128, options={**MOMENTUM, "decay": 5e-4}, schedule="drops",
                 schedule_options={"at": (0.25, 0.5, 0.75)}, augment=MOVED >> IMAGENET)
# Zeiler and Fergus 2014, section 3: 70 epochs, the rate "annealed manually"; no weight decay is spoken of.
ZFNET = Recipe("sgd", 0.01, epochs=70, batch_size=128, options=MOMENTUM, schedule="drops", schedule_options={"at": (0.25, 0.5, 0.75)},
               augment=MOVED)
# Simonyan and Zisserman 2015, section 3.1: 74 epochs (370,000 steps), the rate divided three times; AlexNet's colours.
VGG = Recipe("sgd", 0.01, epochs=74, batch_size=256, options={**MOMENTUM, "decay": 5e-4}, schedule="drops",
             schedule_options={"at": (0.25, 0.5, 0.75)}, augment=MOVED >> IMAGENET)
# He et al. 2016, section 3.4: up to 600,000 steps of 256 images; figure 4 has its drops at about a quarter and a half of them.
RESNET = Recipe("sgd", 0.1, epochs=120, batch_size=256, options={**MOMENTUM, "decay": 1e-4}, schedule="drops",
                schedule_options={"at": (0.25, 0.5)}, augment=MOVED >> IMAGENET)
# 0.1 is for batches of 256 (Goyal et al. 2017, section 2.1): in proportion 0.03 for 64. ResNet-18 on 1,000 photographs at 32×32, 8 epochs:
# 32 % of 300 test images with 0.1, 39 % with 0.03, 37 % with 0.01.
PHOTOGRAPHS_FAST = Recipe("sgd", 0.03, epochs=20, batch_size=64, options=NESTEROV, schedule="one-cycle", smoothing=0.1,
                          augment=RandomResizedCrop((0.35, 1.0)) >> Flip())

CIFAR_NETS = tuple(f"{kind}{depth}" for kind in ("resnet", "plain") for depth in (20, 32, 44, 56, 110))
GREY, CIFAR_SETS = ("mnist", "fashion-mnist"), ("cifar-10", "cifar-100")
SHIPPED = ("digits", *GREY, *CIFAR_SETS)


def _paper(model: str, data: str) -> Recipe | str:
    """The recipe of the model's paper; or in words what that was trained on."""
    if model in CIFAR_NETS:
        return (CIFAR_110 if model.endswith("110") else CIFAR) if data == "cifar-10" else "He et al. 2016 trained it on cifar-10"
    if model.startswith("lenet5"):
        return LENET if data == "mnist" else "LeCun et al. 1998 trained it on mnist"
    if model.startswith("googlenet"):
        return "Szegedy et al. 2015 say neither its learning rate nor its batch size"
    for family, recipe in (("alexnet", ALEXNET), ("zfnet", ZFNET), ("vgg", VGG), ("resnet", RESNET)):
        if model.startswith(family):
            return recipe if data not in SHIPPED else "its paper is about ImageNet: give a folder of photographs"
    return "nothing is known of its paper"


def _fast(model: str, data: str) -> Recipe | str:
    """What is fast for these two; or in words for what there is such a recipe."""
    if model in CIFAR_NETS:
        return CIFAR_FAST if data in CIFAR_SETS else "there is one for cifar-10 and cifar-100"
    if model.startswith("lenet5"):
        return DIGITS_FAST if data == "digits" else MNIST_FAST if data in GREY else "there is one for digits, mnist and fashion-mnist"
    if (model.startswith("resnet") or model.endswith("_bn")) and data not in SHIPPED:
        return PHOTOGRAPHS_FAST
    return "there is one for networks with batch norm on folders of photographs"


CHOSEN: dict[str, Callable[[str, str], Recipe | str]] = {"paper": _paper, "fast": _fast}
NAMES = (*CHOSEN, *ANY)


def recipe_named(name: str | None, model: str, data: str) -> tuple[str, Recipe]:
    """(name, recipe): the one of this name for a model and a data set; without a name "fast", or "adam" where there is none.

    `model` and `data` are names as `models.get` and `data.name_of` have them. ValueError: there is no such recipe; it says which there are.
    """
    if name is None:
        name = "adam" if isinstance(_fast(model, data), str) else "fast"
    if name in ANY:
        return name, ANY[name]
    if name not in CHOSEN:
        raise ValueError(f"there is no recipe {name!r}; there are: {', '.join(NAMES)}")
    found = CHOSEN[name](model, data)
    if isinstance(found, str):
        others = [other for other, choose in CHOSEN.items() if not isinstance(choose(model, data), str)]
        raise ValueError(f"there is no recipe {name!r} for {model} on {data}: {found}. Use --recipe {' or '.join([*others, *ANY])}")
    return name, found
