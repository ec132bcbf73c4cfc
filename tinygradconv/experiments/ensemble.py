"""Seven networks that differ only in their seeds, and the mean of what they answer (the lecture: "7 CNN ensemble")."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinygradconv.autodiff import no_grad
from tinygradconv.data import Loader
from tinygradconv.data.augment import Distort
from tinygradconv.models import lenet5
from tinygradconv.models.resnet import cifar
from tinygradconv.ops.softmax import softmax
from tinygradconv.spec import Spec
from tinygradconv.spec.table import Column, Sheet
from tinygradconv.tensor import Tensor
from tinygradconv.train.recipe import Recipe

from .degradation import paper
from .description import Expectation, Experiment, Form, Net
from .images import Images
from .pictures import curves
from .place import Place
from .results import Results, ratio

COUNT = 7
RECIPE = Recipe("adam", 3e-3, epochs=8, batch_size=64, options={"decay": 1e-2, "decoupled": True}, warm_up=0.05,
                augment=Distort(shift=1.0))
KRIZHEVSKY = "Krizhevsky, Sutskever and Hinton 2012, table 2: 5 networks, top-5 16.4 of 18.2 %"
SZEGEDY = "Szegedy et al. 2015, table 3: 7 networks, one crop, top-5 8.09 of 10.07 %"
SIZES = {"mean": "one network, the mean", "best": "the best of them", "worst": "the worst of them", "together": "all together"}


def probabilities(model: Any, batches: Any) -> tuple[np.ndarray, np.ndarray]:
    """(softmax of the scores (N, classes) float64, labels (N,)) for every image of the batches."""
    answers, labels = [], []
    with no_grad():
        for x, expected in batches:
            answers.append(softmax(model(Tensor.of(x), train=False)).numpy().astype(np.float64))
            labels.append(expected)
    return np.concatenate(answers), np.concatenate(labels)


def wrong(answers: np.ndarray, labels: np.ndarray) -> float:
    """The error in %: how often the largest of `answers` (N, classes), the first of equals, is not the label."""
    return 100.0 * float(np.mean(answers.argmax(1) != labels))


def measure(place: Place) -> dict[str, object]:
    """single, mean, best, worst: errors of the networks; together: of the mean of their softmaxes; grown: of the first 1, 2, …, all."""
    total, single, grown = 0.0, [], []
    for count, net in enumerate(place.form.nets, 1):
        answers, labels = probabilities(place.trained(net), Loader.testing(place.images(net.images)).batches())
        total = total + answers
        single.append(wrong(answers, labels))
        grown.append(wrong(total / count, labels))
    return {"single": single, "mean": float(np.mean(single)), "best": min(single), "worst": max(single), "together": grown[-1],
            "grown": grown}


def table(results: Results) -> tuple[Sheet, ...]:
    """The errors of one network and of all."""
    if not results.measured:
        return ()
    rows = tuple((said, results.number(name)) for name, said in SIZES.items())
    return (Sheet((Column("networks", "which"), Column("test error", "error", "{:.2f} %".format, numeric=True)), rows, name="ensemble",
                  title="One and all"),)


def picture(axes: Any, place: Place, results: Results) -> None:
    """The error of the first 1, 2, … networks together, and of each alone."""
    if "grown" in results.measured:
        grown, single = results.measured["grown"], results.measured["single"]
        axes.plot(range(1, len(grown) + 1), grown, marker="o", label="the first so many together")
        axes.plot(range(1, len(single) + 1), single, "x", label="each alone")
        axes.axhline(results.number("mean"), linewidth=0.8, linestyle="--", label="mean of those alone")
        axes.legend(frameon=False)
    axes.set(xlabel="networks", ylabel="test error in %", title=place.experiment.title)


def form(says: str, spec: Spec, images: Images, recipe: Recipe) -> Form:
    """Seven networks of one spec."""
    nets = tuple(Net(f"seed{seed}", spec, images, recipe, seed, f"seed {seed}") for seed in range(COUNT))
    return Form(says, nets, (
        Expectation("error of all together over the mean of one", ratio("together", "mean"), 0.6, 0.97, "× 0.80, × 0.90",
                    f"{SZEGEDY}; {KRIZHEVSKY}", "×"),
        Expectation("error of all together over the best one", ratio("together", "best"), 0, 1, "below 1", SZEGEDY, "×")),
        measure=measure, tables=table, pictures={"curves": curves, "ensemble": picture})


EXPERIMENT = Experiment(
    "ensemble", "Seven networks together", "How much better are seven networks, their softmaxes averaged, than one of them?",
    ("Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks",
     "Szegedy et al. 2015, Going deeper with convolutions"),
    {"quick": lambda: form("LeNet-5, one epoch on 600 of the shipped digits.", lenet5, Images("digits", train=600, test=100),
                           replace(RECIPE, epochs=1)),
     "small": lambda: form("LeNet-5 on Fashion-MNIST, 8 epochs, images shifted by up to a pixel.", lenet5, Images("fashion-mnist"), RECIPE),
     "full": lambda: form("ResNet-20 on CIFAR-10 by the paper's recipe.", cifar(20), Images("cifar-10"), paper("resnet20"))})
