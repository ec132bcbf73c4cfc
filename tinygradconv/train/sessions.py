"""From a command to a training run and back: config.json, the model and the data that it names, and what is said at the end."""
from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tinygradconv import data as data_sets
from tinygradconv import models
from tinygradconv.backends import backend_named
from tinygradconv.data import DataSet, Loader
from tinygradconv.data.loader import workers_for
from tinygradconv.data.picture import kept
from tinygradconv.geometry import integer
from tinygradconv.interop import safetensors
from tinygradconv.parallel import Group
from tinygradconv.spec import Spec

from .callbacks import Callback
from .clip import GradientError
from .config import versions
from .curves import Curves
from .diverged import LossError
from .evaluate import accuracy_line, evaluate
from .interrupt import Interrupted
from .loop import train
from .progress import Progress, on_waiting, say
from .recipe import Recipe
from .recipes import recipe_named
from .snapshot import Run, free_folder
from .tensorboard import TensorBoard
from .together import counted
from .weights import load_weights

DEFAULT_DATA = {"lenet5": "digits"}
PICTURES = 10.0               # seconds that rank 0 may take to draw its curves, before it says why it stops and ends the others
KEYS = ("model", "data", "data_dir", "data_crc32", "seed", "recipe", "spec", "versions")      # of config.json


def begin(model: str, *, data: str | None = None, data_dir: str | None = None, recipe: str | None = None, seed: int = 0,
          out: str | None = None, ranks: int = 1, device: str = "cpu", **changes: Any) -> Session:
    """A new run: what was asked for is settled, tried out (model, data set, recipe) and written to config.json. ValueError, OSError.

    `changes` are fields of the recipe: epochs, batch_size, rate, ema, …; None leaves one as it is. `ranks` train it, which is noted, on
    `device`: "cuda" is a GPU (RuntimeError says why there is none).
    """
    backend_named(device)
    models.get(model)                                # an unknown model says so before a data set is downloaded
    data = data_sets.name_of(data or DEFAULT_DATA.get(model, "digits"), data_dir)
    name, chosen = recipe_named(recipe, model, data)
    chosen = dataclasses.replace(chosen, **{option: value for option, value in changes.items() if value is not None})
    seed = integer("seed", seed, at_least=0, where="train")
    data_set = data_sets.get(data, data_dir)
    spec, _ = models.get(model, classes=len(data_set.classes))
    network = spec.infer(data_set.input_shape)       # what does not fit says so before a folder is made: the model the images,
    chosen.check(network.parameters)                 # the recipe the model,
    chosen.make_schedule(chosen.epochs * -(-len(data_set.train) // chosen.batch_size))              # and the schedule the steps
    config = {"model": model, "data": data, "data_dir": data_dir and str(Path(data_dir).resolve()), "data_crc32": data_set.checksum(),
              "input": list(data_set.input_shape), "epochs": chosen.epochs, "batch_size": chosen.batch_size, "seed": seed,
              "recipe": {"name": name, **chosen.to_json()}, "spec": json.loads(spec.to_json()),
              "device": device, "versions": versions(ranks, device), **kept(data_set)}
    return Session(Run.create(Path(out) if out else free_folder(Path("runs") / f"{model}-{data_set.name}"), config), data_set)


def reopen(folder: Path) -> Session:
    """The run in this folder. ValueError, OSError: there is none, or its config.json is damaged."""
    return Session(Run.open(folder))


def joined(group: Group, make: Callable[[], Session]) -> Session:
    """The session that `make` returns on rank 0, for all ranks: the others get its folder and its config.json, and write nothing."""
    session = make() if group.leads else None
    said = group.broadcast(json.dumps([str(session.run.folder), session.run.config]).encode() if session else b"")
    if session is None:
        folder, config = json.loads(said)
        session = Session(Run(Path(folder), config))
    session.group = group
    return session


class Session:
    """A run's folder together with the model and the data set that its config.json names."""

    def __init__(self, run: Run, data: DataSet | None = None) -> None:
        self.run, self._data, self.group = run, data, Group()
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

    @property
    def device(self) -> str:
        """Where the run is trained."""
        return self.run.config.get("device", "cpu")

    def _learner(self, data: DataSet) -> Any:
        """The model, where it is trained."""
        return self.model(data.input_shape).to(self.device)

    def train(self, data_dir: str | None = None, *, tensorboard: bool = False, workers: int | None = None) -> int:
        """Train to the end; prints the test accuracy as the last line. Returns the exit code: 0, or 128 + the signal that stopped it.

        `workers` threads make batches ahead; None: see `data.loader.workers_for`.
        """
        if not self.group.leads:
            return self._assist(data_dir, workers)
        with closing(self.run):
            return self._lead(data_dir, tensorboard, workers)

    def _lead(self, data_dir: str | None, tensorboard: bool, workers: int | None) -> int:
        """What rank 0, which may be the only one, does of `train`."""
        run, recipe = self.run, self.recipe()
        state, _ = run.load()
        run.lock()
        ended = state is not None and recipe.ended(state.position.epoch, state.early_stop.get("waited", 0))
        self.group.largest(int(ended))
        if ended:
            for problem in run.go_on()[1]:
                say(problem)
            Curves(run).complete()
            at = state.position
        else:
            data = self.data(data_dir)
            self.group.barrier()                             # what was missing is downloaded: now the others may look for it
            self._introduce(data, recipe, "" if state is None else f", going on after step {state.position.step}")
            try:
                at = train(self._learner(data), data, recipe, seed=run.config["seed"], run=run, loader_workers=workers,
                           callbacks=self._watchers(tensorboard), workers=self.group)
            except Interrupted as stopped:
                say(f"stopped, and saved. tinygradconv train --resume {run.folder} goes on")
                return 128 + stopped.number
            except (LossError, GradientError) as problem:
                raise type(problem)(f"{problem}. The last snapshot is in {run.folder}") from None
            if at.epoch < recipe.epochs:
                say(f"stopped early: no epoch of {at.epoch - at.best_epoch} was better than epoch {at.best_epoch} with {at.best:.2f} %")
            known = workers_for(data.input_shape, recipe.batch_size, recipe.augment) if workers is None else workers
            if said := on_waiting(at.waiting, at.seconds, known):
                say(said)
        print(accuracy_line(at.correct, at.tested))
        return 0

    def _assist(self, data_dir: str | None, workers: int | None) -> int:
        """What a rank other than 0 does of `train`: it learns with the others, and says nothing."""
        if self.group.largest(0):
            return 0
        self.group.barrier()
        data = self.data(data_dir)
        try:
            train(self._learner(data), data, self.recipe(), seed=self.run.config["seed"], loader_workers=workers,
                  workers=self.group)
        except Interrupted as stopped:
            return 128 + stopped.number
        except (LossError, GradientError):                   # a sum over the ranks is not finite, so it is everyone's error
            time.sleep(PICTURES)
            raise
        return 0

    def _introduce(self, data: DataSet, recipe: Recipe, going_on: str) -> None:
        """Say what is trained, and what of it may differ from how it was begun."""
        config, seen = self.run.config, versions(self.group.size, self.device)
        changed = [f"{name} {old} → {seen.get(name)}" for name, old in config["versions"].items() if seen.get(name) != old]
        if changed:
            say(f"{self.run.folder} was begun with other versions ({', '.join(changed)}): its end may differ in the last bits")
        say(f"{config['model']} on {config['data']}: {len(data.train):,} images, epochs {recipe.epochs}, recipe "
            f"{config['recipe']['name']}, into {self.run.folder}{going_on}")

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

    def evaluate(self, data_dir: str | None = None, *, weights: str | None = None, data: str | None = None) -> str:
        """The line with the test accuracy of the run's last weights, or of others (see `weights`), on its data set, or on the test images
        of another one, `data`, of the same shape and number of classes. Several ranks share the images out; all get the line.
        """
        arrays = self._of_leader(lambda: self.weights(weights or "last"))
        tested = self.data(data_dir) if data is None else self._other(data, data_dir)
        model = self.model(tested.input_shape)
        load_weights(model, arrays)
        found = evaluate(model, Loader.testing(tested, shard=(self.group.rank, self.group.size)).batches())
        return accuracy_line(*counted(self.group, found))

    def _of_leader(self, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays that `make` returns on rank 0, on every rank: only that one needs the run's folder."""
        if self.group.size == 1:
            return make()
        data = self.group.broadcast(safetensors.to_bytes(make()) if self.group.leads else b"")
        return safetensors.from_bytes(data, "the weights of rank 0")[0]

    def weights(self, name: str) -> dict[str, np.ndarray]:
        """Weights and buffers by path: "last", as they were tested last; "best", those of the best epoch; "ema", the running mean; "raw",
        those that the optimiser updates; or a safetensors file. ValueError, OSError: they are damaged, or not there.
        """
        if name in ("last", "best"):
            return self.run.weights(name)
        if name not in ("ema", "raw"):
            return safetensors.load(Path(name))
        if name == "ema" and self.recipe().ema is None:
            raise ValueError(f"{self.run.folder} keeps no running mean of its weights. Use last, or train with --ema 0.999")
        state, _ = self.run.load()
        if state is None:
            raise FileNotFoundError(f"{self.run.folder} has saved no snapshot yet. "
                                    f"tinygradconv train --resume {self.run.folder} goes on with it")
        return state.weights() if name == "ema" else dict(state.model)

    def _other(self, name: str, data_dir: str | None) -> DataSet:
        """Another data set, normalised as the run's own is. ValueError: it does not fit the model."""
        config, other = self.run.config, data_sets.get(name, data_dir)
        if list(other.input_shape) != config["input"] or len(other.classes) != len(config["classes"]):
            height, width, _ = config["input"]
            raise ValueError(f"{self.run.folder} learned {len(config['classes'])} classes from images {tuple(config['input'])}, "
                             f"but {name} has {len(other.classes)} of {other.input_shape}. Give a data set that fits; of a folder "
                             f"{name.partition('@')[0]}@{height}x{width} has that size")
        if list(other.classes) != config["classes"] and self.group.leads:
            say(f"the classes of {name} have other names than those of {config['data']}; they are compared by their order")
        return dataclasses.replace(other, mean=tuple(config["mean"]), deviation=tuple(config["deviation"]))
