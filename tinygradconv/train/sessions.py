"""From a command to a training run and back: config.json, the model and the data that it names, and what is said at the end."""
from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from tinygradconv import data as data_sets
from tinygradconv import models
from tinygradconv.backends.cpu import instruction_set
from tinygradconv.data import DataSet, Loader
from tinygradconv.data.picture import kept
from tinygradconv.geometry import integer
from tinygradconv.settings import get as setting
from tinygradconv.spec import Spec

from .callbacks import Callback
from .curves import Curves
from .evaluate import accuracy_line, evaluate
from .interrupt import Interrupted
from .loop import train
from .progress import Progress, say
from .recipe import Recipe
from .recipes import recipe_named
from .snapshot import Run, free_folder
from .tensorboard import TensorBoard
from .training import LossError
from .weights import load_weights

DEFAULT_DATA = {"lenet5": "digits"}
KEYS = ("model", "data", "data_dir", "data_crc32", "seed", "recipe", "spec", "versions")      # of config.json


def begin(model: str, *, data: str | None = None, data_dir: str | None = None, recipe: str | None = None, epochs: int | None = None,
          batch_size: int | None = None, seed: int = 0, out: str | None = None) -> Session:
    """A new run: what was asked for is settled, tried out (model, data set) and written to config.json. ValueError, OSError."""
    models.get(model)                                # an unknown model says so before a data set is downloaded
    data = data_sets.name_of(data or DEFAULT_DATA.get(model, "digits"), data_dir)
    name, chosen = recipe_named(recipe, model, data)
    asked = {"epochs": epochs, "batch_size": batch_size}
    chosen = dataclasses.replace(chosen, **{option: value for option, value in asked.items() if value is not None})
    seed = integer("seed", seed, at_least=0, where="train")
    data_set = data_sets.get(data, data_dir)
    spec, _ = models.get(model, classes=len(data_set.classes))
    spec.infer(data_set.input_shape)                 # a model that does not fit the images says so before a folder is made
    config = {"model": model, "data": data, "data_dir": data_dir and str(Path(data_dir).resolve()), "data_crc32": data_set.checksum(),
              "input": list(data_set.input_shape), "epochs": chosen.epochs, "batch_size": chosen.batch_size, "seed": seed,
              "recipe": {"name": name, **chosen.to_json()}, "spec": json.loads(spec.to_json()),
              "versions": versions(), **kept(data_set)}
    return Session(Run.create(Path(out) if out else free_folder(Path("runs") / f"{model}-{data_set.name}"), config), data_set)


def reopen(folder: Path) -> Session:
    """The run in this folder. ValueError, OSError: there is none, or its config.json is damaged."""
    return Session(Run.open(folder))


def versions() -> dict[str, str]:
    """What the bits of a result depend on: versions, and the instruction set of the kernels."""
    try:
        own = importlib.metadata.version("tinygradconv")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"                                          # a checkout beside its compiled kernels
    return {"tinygradconv": own, "numpy": np.__version__, "python": platform.python_version(),
            "kernels": "reference" if setting("backend") == "reference" else instruction_set()}


class Session:
    """A run's folder together with the model and the data set that its config.json names."""

    def __init__(self, run: Run, data: DataSet | None = None) -> None:
        self.run, self._data = run, data
        missing = [key for key in KEYS if key not in run.config]
        if missing:
            raise ValueError(f"{run.folder / 'config.json'} is damaged: it lacks {', '.join(missing)}")

    def data(self, data_dir: str | os.PathLike | None = None) -> DataSet:
        """The run's data set, from `data_dir` where it has moved. ValueError: it is not the one that the run was begun with."""
        if self._data is None:
            self._data = data_sets.get(self.run.config["data"], data_dir or self.run.config["data_dir"])
            if self._data.checksum() != self.run.config["data_crc32"]:
                raise ValueError(f"{self.run.folder} was begun with other {self.run.config['data']} files "
                                 f"than are there now (their checksums differ)")
        return self._data

    def recipe(self) -> Recipe:
        """The recipe as it was settled when the run was begun."""
        try:
            return Recipe.from_json({key: value for key, value in self.run.config["recipe"].items() if key != "name"})
        except (TypeError, AttributeError) as problem:
            raise ValueError(f"{self.run.folder / 'config.json'} is damaged: its recipe is not one ({problem})") from None

    def model(self, shape: tuple[int, ...]) -> Any:
        """The model that the run's spec describes, with the weights that its seed draws."""
        return Spec.from_json(json.dumps(self.run.config["spec"])).build(shape, seed=self.run.config["seed"])

    def train(self, data_dir: str | None = None, *, tensorboard: bool = False) -> int:
        """Train to the end; prints the test accuracy as the last line. Returns the exit code: 0, or 128 + the signal that stopped it."""
        run, recipe, seen = self.run, self.recipe(), versions()
        state, _ = run.load()
        if state is None or state.position.epoch < recipe.epochs:
            changed = [f"{name} {old} → {seen.get(name)}" for name, old in run.config["versions"].items() if seen.get(name) != old]
            if changed:
                say(f"{run.folder} was begun with other versions ({', '.join(changed)}): its end may differ in the last bits")
            run.lock()
            data = self.data(data_dir)
            going_on = "" if state is None else f", going on after step {state.position.step}"
            say(f"{run.config['model']} on {run.config['data']}: {len(data.train):,} images, epochs {recipe.epochs}, recipe "
                f"{run.config['recipe']['name']}, into {run.folder}{going_on}")
            try:
                at = train(self.model(data.input_shape), data, recipe, seed=run.config["seed"], run=run,
                           callbacks=self._watchers(tensorboard))
            except Interrupted as stopped:
                say(f"stopped, and saved. tinygradconv train --resume {run.folder} goes on")
                return 128 + stopped.number
            except LossError as problem:
                raise LossError(f"{problem}. The last snapshot is in {run.folder}") from None
        else:
            run.lock()
            for problem in run.go_on()[1]:
                say(problem)
            at = state.position
        print(accuracy_line(at.correct, at.tested))
        return 0

    def _watchers(self, tensorboard: bool) -> list[Callback]:
        """What is told of the training. A run that was begun with TensorBoard goes on with it, as long as it is installed."""
        folder, board = self.run.folder / "tensorboard", []
        if tensorboard or folder.is_dir():
            try:
                board = [TensorBoard(folder)]
            except ImportError as problem:
                if tensorboard:
                    raise
                say(str(problem))
        return [Curves(self.run), *board, Progress()]                # they end from the last to the first: the bar before what is said

    def evaluate(self, data_dir: str | None = None) -> str:
        """The line with the test accuracy of the run's last weights."""
        weights, data = self.run.weights(), self.data(data_dir)
        model = self.model(data.input_shape)
        load_weights(model, weights)
        return accuracy_line(*evaluate(model, Loader.testing(data).batches()))
