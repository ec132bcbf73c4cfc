"""An experiment's folder: what was asked for, one run for each network, what was measured after them, the report.

    experiment.json        experiment, form, the networks as they were described, where the data sets are, the machines that it ran on
    runs/KEY/              the run of one network (train/snapshot.py)
    measured.json          numbers that were measured once all networks were trained
    report.md, report.json, NAME.png, NAME.svg     made of the above at any time
"""
from __future__ import annotations

import dataclasses
import json
import os
import zlib
from pathlib import Path
from typing import Any

from tinygradconv.data import DataSet
from tinygradconv.interop.files import write_whole
from tinygradconv.train.config import versions
from tinygradconv.train.snapshot import Run
from tinygradconv.train.weights import load_weights

from .description import Experiment, Form, Net
from .images import Images
from .machine import machine
from .results import Result, Results, of_log

FORMAT = 1


class Place:
    """The folder of an experiment, and the form of it that is executed there. `Place.create` begins one, `Place.open` finds one."""

    def __init__(self, folder: Path, experiment: Experiment, form_name: str, config: dict[str, Any]) -> None:
        self.folder, self.experiment, self.form_name, self.config = folder, experiment, form_name, config
        self.form: Form = experiment.form(form_name)
        self._loaded: tuple[Images, DataSet] | None = None

    @classmethod
    def create(cls, folder: str | os.PathLike, experiment: Experiment, form: str, data_dir: str | None = None) -> Place:
        """A new experiment in a new or empty folder. FileExistsError: it is not empty; OSError: it cannot be written."""
        folder = Path(folder)
        if (folder / "experiment.json").exists():
            raise FileExistsError(f"{folder} is an experiment already: --resume goes on with it. Or name another folder by --out")
        try:
            if folder.is_dir() and any(not file.name.endswith(".new") for file in folder.iterdir()):
                raise FileExistsError(f"{folder} is not empty. Name another folder by --out")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            if problem.strerror is None:
                raise
            raise type(problem)(f"cannot make the folder {folder}: {problem.strerror}. Name another one by --out") from None
        config = {"format": FORMAT, "experiment": experiment.name, "form": form, "data_dir": data_dir and str(Path(data_dir).resolve()),
                  "networks": {net.key: described(net) for net in experiment.form(form).nets}, "machines": []}
        place = cls(folder, experiment, form, config)
        place._write_config()
        return place

    @classmethod
    def open(cls, folder: str | os.PathLike, experiment: Experiment, form: str) -> Place:
        """The experiment in this folder. FileNotFoundError: there is none; ValueError: another one, or its description has changed."""
        path = Path(folder) / "experiment.json"
        if not path.is_file():
            raise FileNotFoundError(f"{folder} is not the folder of an experiment: it has no experiment.json. Leave out --resume to begin")
        try:
            config = json.loads(path.read_bytes())
            asked = config["format"], config["experiment"], config["form"]
            known, _, _ = config["networks"], config["machines"], config["data_dir"]
        except (ValueError, TypeError, KeyError) as problem:
            raise ValueError(f"{path} is damaged: {problem!r}") from None
        if asked != (FORMAT, experiment.name, form):
            raise ValueError(f"{folder} holds the experiment {asked[1]} in its form {asked[2]} (format {asked[0]}), not {experiment.name} "
                             f"in its form {form}. Name another folder by --out")
        now = {net.key: described(net) for net in experiment.form(form).nets}
        changed = [key for key in {**known, **now} if known.get(key) != now.get(key)]
        if changed:
            raise ValueError(f"{folder} was begun with another description of {', '.join(changed)} than this version of tinygradconv has. "
                             f"Name another folder by --out")
        return cls(Path(folder), experiment, form, config)

    def begin(self, data_dir: str | None = None) -> None:
        """Note the machine, and where the data sets are if they have moved."""
        if data_dir is not None:
            self.config["data_dir"] = str(Path(data_dir).resolve())
        if (now := machine()) not in self.config["machines"]:
            self.config["machines"].append(now)
        self._write_config()

    def _write_config(self) -> None:
        write_whole(self.folder / "experiment.json", (json.dumps(self.config, indent=1, allow_nan=False) + "\n").encode())

    # The networks.
    def images(self, images: Images) -> DataSet:
        """The data set of a network; the last one is kept, as the networks of an experiment mostly share theirs."""
        if self._loaded is None or self._loaded[0] != images:
            self._loaded = images, images.load(self.config["data_dir"])
        return self._loaded[1]

    def run(self, net: Net) -> Run:
        """The run of a network, locked, begun where it is not there yet. ValueError: it was begun with other images."""
        folder = self.folder / "runs" / net.key
        if any((folder / name).is_file() for name in ("config.json", "state.safetensors")):
            run = Run.open(folder)
            run.lock()
            return run
        data = self.images(net.images)
        spec = json.loads(net.spec.to_json())
        return Run.create(folder, {
            "model": net.key, "data": str(net.images), "data_dir": self.config["data_dir"], "data_crc32": data.checksum(),
            "input": list(data.input_shape), "epochs": net.recipe.epochs, "batch_size": net.recipe.batch_size, "seed": net.seed,
            "recipe": {"name": self.experiment.name, **net.recipe.to_json()}, "spec": spec, "versions": versions()})

    def trained(self, net: Net) -> Any:
        """The network with the last weights of its run. FileNotFoundError, ValueError: there are none, or they are damaged."""
        model = net.spec.build(self.images(net.images).input_shape, seed=net.seed)
        load_weights(model, Run.open(self.folder / "runs" / net.key).weights())
        return model

    # What has been got.
    def results(self) -> Results:
        """What the logs and measured.json tell."""
        runs: dict[str, Result] = {}
        for net in self.form.nets:
            if (folder := self.folder / "runs" / net.key).joinpath("log.csv").is_file():
                runs[net.key] = of_log(Run.open(folder).rows(), net.recipe.epochs)
        return Results(runs, self.measured())

    def measured(self) -> dict[str, Any]:
        """The numbers of measured.json; none where it is not there. ValueError: it is damaged."""
        path = self.folder / "measured.json"
        try:
            found = json.loads(path.read_bytes()) if path.is_file() else {}
        except ValueError as problem:
            raise ValueError(f"{path} is damaged: {problem}. Delete it: --resume measures again") from None
        if not isinstance(found, dict):
            raise ValueError(f"{path} is damaged: it must hold numbers by name. Delete it: --resume measures again")
        return found

    def save_measured(self, values: dict[str, Any]) -> None:
        """Write measured.json."""
        write_whole(self.folder / "measured.json", (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def described(net: Net) -> dict[str, Any]:
    """What decides a network's result, as JSON has it; the spec by its checksum, as the run's config.json holds it in full."""
    return {"spec_crc32": zlib.crc32(net.spec.to_json().encode()), "images": dataclasses.asdict(net.images), "recipe": net.recipe.to_json(),
            "seed": net.seed}
