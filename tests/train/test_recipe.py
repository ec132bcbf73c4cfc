"""Recipes: written as JSON and read again, schedules in shares of a training by hand, and what papers say."""
from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from tests.train import toy
from tinygradconv import models
from tinygradconv.data import DATA_SETS, Loader
from tinygradconv.data.augment import ColorJitter, CutMix, Cutout, Distort, Flip, Lighting, Mixup, Normalize, PadCrop, RandomResizedCrop
from tinygradconv.data.augment import json as augment_json
from tinygradconv.train import recipes, shares
from tinygradconv.train.recipe import OPTIMIZERS, Recipe
from tinygradconv.train.recipes import recipe_named

AUGMENTATIONS = (PadCrop(4, (20, 24), 0.5), Flip(0.25), Cutout(3, (1.0, 2.0, 3.0)), Distort(0.1, 0.2, 0.3, 0.4), ColorJitter(0.1, 0.2, 0.3),
                 Lighting((0.2, 0.1, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), 0.3), Mixup(0.3, 0.5), CutMix(0.7),
                 Normalize((1.0,), (2.0,)), RandomResizedCrop((0.3, 0.9), (0.5, 2.0)))
OPTIONS = {"sgd": {"momentum": 0.9, "nesterov": True, "decay": 5e-4, "exclude": ("*.bias", "bn?.weight")}, "adam": {"decoupled": True},
           "adamw": {"beta1": 0.8, "exclude": "*.bias"}, "rmsprop": {"centred": True, "momentum": 0.5}, "lars": {"trust": 0.01},
           "muon": {"adamw": ["fc.*"], "iterations": 3}}
SHAPES = {"constant": {}, "cosine": {"floor": 0.1}, "drops": {"at": [0.2, 0.6], "factor": [0.5, 0.1]},
          "steps": {"every": 2.5, "factor": 0.5}, "polynomial": {"power": 2}, "one-cycle": {"rise": 0.2, "straight": True}}


def again(recipe: Recipe) -> Recipe:
    return Recipe.from_json(json.loads(json.dumps(recipe.to_json(), allow_nan=False)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", shares.SCHEDULES)
def test_every_optimiser_and_schedule_comes_back_from_json(optimizer, schedule):
    recipe = Recipe(optimizer, 0.3, 7, 16, OPTIONS[optimizer], schedule, SHAPES[schedule])
    assert again(recipe) == recipe and again(recipe).to_json() == recipe.to_json()
    assert [again(recipe).make_schedule(70)(t) for t in range(70)] == [recipe.make_schedule(70)(t) for t in range(70)]


def test_every_field_comes_back_from_json():
    whole = Recipe("adamw", 0.02, 3, 12, {"exclude": ("*.bias",)}, "drops", {"at": (0.25,)}, warm_up=0.1, warm_up_rate=0.01, smoothing=0.2,
                   augment=PadCrop(1) >> Flip(), clip=2.0, accumulate=3, ema=0.5, patience=2, sync_batch_norm=True)
    plain = Recipe("sgd", 0.1, 1, 1)
    assert all(getattr(whole, each.name) != getattr(plain, each.name) for each in fields(Recipe)), "a new field belongs into `whole`"
    assert again(whole) == whole and again(plain) == plain and again(whole) != plain


@pytest.mark.parametrize("augment", [*AUGMENTATIONS, PadCrop(1) >> Flip() >> Mixup(), None], ids=str)
def test_every_augmentation_comes_back_from_json(augment):
    recipe = Recipe("sgd", 0.1, 1, 8, augment=augment)
    assert again(recipe) == recipe and again(recipe).augment == augment


def test_json_knows_every_augmentation():
    from tinygradconv.data import augment
    kinds = {name for name in augment.__all__ if isinstance(getattr(augment, name), type)} - {"Augmentation", "Chain"}
    assert {type(each).__name__ for each in AUGMENTATIONS} == kinds == set(augment_json.KNOWN)


@pytest.mark.parametrize("augment", [Distort(0.3), (Distort(0.3),), Distort(0.3) >> Flip(), [Flip(), Distort(0.3)]], ids=str)
def test_a_recipe_that_was_read_again_meets_the_same_images(augment):
    """A chain of one step would draw from another stream than the step itself."""
    recipe = Recipe("sgd", 0.1, 1, 8, augment=augment)
    first, second = (Loader.training(toy.data(), 8, 3, each.augment).batches() for each in (recipe, again(recipe)))
    for (a, _), (b, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "options", "warm_up", "rates"), [
    ("constant", {}, {}, [8, 8, 8, 8, 8, 8, 8, 8]),
    ("drops", {"factor": 0.5}, {}, [8, 8, 8, 8, 4, 4, 2, 2]),
    ("drops", {"at": (0.25, 0.5), "factor": (0.5, 2)}, {}, [8, 8, 4, 4, 8, 8, 8, 8]),
    ("drops", {"at": (0.5,)}, {"warm_up": 0.25, "warm_up_rate": 2}, [2, 2, 8, 8, 8, 0.8, 0.8, 0.8]),
    ("steps", {"every": 1.5, "factor": 0.5}, {}, [8, 8, 8, 4, 4, 4, 2, 2]),                              # an epoch has two steps
    ("polynomial", {}, {"warm_up": 0.5}, [2, 4, 6, 8, 8, 6, 4, 2]),
    ("polynomial", {"floor": 0.5}, {}, [8, 7.5, 7, 6.5, 6, 5.5, 5, 4.5]),
    ("cosine", {}, {"warm_up": 0.5}, [2, 4, 6, 8, 8, 4 + 4 * 0.5**0.5, 4, 4 - 4 * 0.5**0.5]),
    ("one-cycle", {"rise": 0.5, "start": 0.25, "end": 0.0, "straight": True}, {}, [2, 4, 6, 8, 6, 4, 2, 0]),
])
def test_schedules_in_shares_by_hand(name, options, warm_up, rates):
    schedule = Recipe("sgd", 8, 4, 1, schedule=name, schedule_options=options, **warm_up).make_schedule(8)
    assert [schedule(t) for t in range(8)] == pytest.approx(rates)


def test_the_paper_recipe_of_cifar_resnets():
    """He et al. 2016, section 4.2: 128 images, 64,000 steps, 0.1 to 32,000 and 48,000; decay 10⁻⁴, momentum 0.9, padding 4, flips."""
    name, recipe = recipe_named("paper", "resnet56", "cifar-10")
    assert (name, recipe.batch_size, recipe.options) == ("paper", 128, {"momentum": 0.9, "decay": 1e-4})
    assert recipe.augment == PadCrop(4) >> Flip() and abs(recipe.epochs * -(-50_000 // 128) - 64_000) < 391 / 2
    rate = recipe.make_schedule(64_000)
    assert [rate(t) for t in (0, 31_999, 32_000, 47_999, 48_000, 63_999)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    deep = recipe_named("paper", "plain110", "cifar-10")[1].make_schedule(64_000)
    assert [deep(t) for t in (0, 399, 400, 31_999, 32_000, 47_999, 48_000)] == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001])


def test_the_paper_recipe_of_lenet():
    """LeCun et al. 1998, section III.B: 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then 0.00001."""
    recipe = recipe_named("paper", "lenet5", "mnist")[1]
    rate = recipe.make_schedule(20 * 60_000)
    assert recipe.batch_size == 1 and recipe.epochs == 20
    assert [rate(60_000 * epoch + 59_999) / rate(0) for epoch in range(20)] == pytest.approx(
        [1] * 2 + [0.4] * 3 + [0.2] * 3 + [0.1] * 4 + [0.02] * 8)


def test_every_model_and_data_set_has_its_recipe_or_an_answer():
    given = {(name, model, data): None for name in ("paper", "fast", None) for model in models.MODELS for data in (*DATA_SETS, "photos@64")}
    for name, model, data in given:
        try:
            given[name, model, data] = recipe_named(name, model, data)
        except ValueError as problem:
            assert f"there is no recipe {name!r} for {model} on {data}: " in str(problem) and "Use --recipe " in str(problem)
    assert all(given[None, model, data] for _, model, data in given), "without a name there is always one"
    paper = {(model, data) for (name, model, data), found in given.items() if name == "paper" and found}
    assert {("resnet20", "cifar-10"), ("plain110", "cifar-10"), ("lenet5", "mnist"), ("alexnet", "photos@64"), ("vgg16", "photos@64"),
            ("resnet50", "photos@64"), ("zfnet", "photos@64")} <= paper
    assert not {("resnet20", "mnist"), ("googlenet", "photos@64"), ("alexnet", "cifar-10"), ("lenet5", "digits")} & paper
    assert given[None, "resnet20", "cifar-10"] == ("fast", recipes.CIFAR_FAST) and given[None, "vgg16", "digits"][0] == "adam"


def test_a_change_of_epochs_keeps_the_shape():
    recipe = recipe_named("paper", "resnet20", "cifar-10")[1]
    rate = replace(recipe, epochs=4).make_schedule(40)
    assert [rate(t) for t in (19, 20, 29, 30)] == pytest.approx([0.1, 0.01, 0.01, 0.001])
