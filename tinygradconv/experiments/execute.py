"""Executing an experiment: its networks one after another, each a run of its own, then what is measured after them; and the report."""
from __future__ import annotations

from tinygradconv.train.interrupt import Interrupted
from tinygradconv.train.loop import train
from tinygradconv.train.progress import say

from . import report
from .description import Net
from .place import Place


def execute(place: Place, data_dir: str | None = None) -> int:
    """Train what is not trained yet, measure, write the report; the exit code: 0, or 128 + the signal that stopped it.

    Killed at any moment it goes on where it stood: a run as every run does, a finished one at once. The report is written however this
    ends, other than by a kill.
    """
    place.begin(data_dir)
    nets = place.form.nets
    try:
        for number, net in enumerate(nets, 1):
            if code := _train(place, net, f"network {number} of {len(nets)}"):
                return code
        if place.form.measure is not None and not place.measured():
            say(f"{place.experiment.name}: measuring")
            place.save_measured(dict(place.form.measure(place)))
    finally:
        report.write(place)
    return 0


def _train(place: Place, net: Net, where: str) -> int:
    """Train one network to its end; 0, or 128 + the signal that stopped it."""
    run = place.run(net)
    try:
        state, _ = run.load()
        if state is not None and net.recipe.ended(state.position.epoch, state.early_stop.get("waited", 0)):
            return 0
        data = place.images(net.images)
        if data.checksum() != run.config["data_crc32"]:
            raise ValueError(f"{run.folder} was begun with other images of {net.images} than are there now (their checksums differ)")
        going_on = f", going on after step {state.position.step}" if state is not None and state.position.step else ""
        say(f"{place.experiment.name} ({place.form_name}), {where}: {net.title} on {net.images}, epochs {net.recipe.epochs}, "
            f"seed {net.seed}{going_on}")
        train(net.spec.build(data.input_shape, seed=net.seed), data, net.recipe, seed=net.seed, run=run)
    except Interrupted as stopped:
        say(f"stopped, and saved. The same command with --resume goes on: --out {place.folder} --resume")
        return 128 + stopped.number
    finally:
        run.close()
    return 0
