"""Changing images at random while learning, so that a data set seems larger: frozen values that are composed in order.

    augment = PadCrop(4) >> Flip() >> Cutout(8)          # or a tuple of them
    Loader.training(cifar, 128, seed=0, augment=augment)

    PadCrop, Flip, RandomResizedCrop     crop.py        another part of the image, or its mirror image
    Distort                              distort.py     turned, scaled, sheared, shifted
    Cutout                               cutout.py      without a square
    ColorJitter, Lighting                color.py       other colours
    Mixup, CutMix                        mix.py         two images in one, and their labels
    Normalize                            normalize.py   (image − mean) / deviation, which a loader does last of all

Each works on a whole batch, (N, H, W, C), and leaves its argument alone; bytes stay bytes where the docstring does not say otherwise. What
is drawn is a function of (key, step, image of the batch), so a run that goes on in its middle meets the same images.
"""
from .base import Augmentation, Chain, chain
from .color import ColorJitter, Lighting
from .crop import Flip, PadCrop, RandomResizedCrop
from .cutout import Cutout
from .distort import Distort, affine
from .mix import CutMix, Mixup
from .normalize import Normalize

__all__ = ["Augmentation", "Chain", "ColorJitter", "CutMix", "Cutout", "Distort", "Flip", "Lighting", "Mixup", "Normalize", "PadCrop",
           "RandomResizedCrop", "affine", "chain"]
