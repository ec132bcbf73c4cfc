"""Forward time, and energy where it can be read, per image, across the families (the lecture: "forward pass time and power
consumption").
"""
from __future__ import annotations

import csv
import io
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinygradconv import models
from tinygradconv.autodiff import no_grad
from tinygradconv.interop.files import append_line, write_whole
from tinygradconv.spec.table import Column, Sheet
from tinygradconv.tensor import Tensor
from tinygradconv.train.progress import say

from . import energy
from .description import Expectation, Experiment, Form
from .pictures import bars
from .place import Place
from .results import Results, ratio

CANZIANI = "Canziani, Paszke and Culurciello 2017, sections 3.2 and 3.4"
SETTLE = 0.006                   # seconds; GNU's OpenMP threads sleep after some 5 ms without work
COLUMNS = ("round", "model", "seconds", "calls", *(f"joules: {kind.name}" for kind in (energy.Rapl, energy.Nvml)))


def forward(name: str, batch: int) -> Callable[[], object]:
    """A call of the network `name` with random weights on one batch of random images, as in evaluation."""
    spec, shape = models.get(name)
    model = spec.build(shape, seed=0)
    x = Tensor.of(np.random.default_rng(0).standard_normal((batch, *shape), np.float32))

    def call() -> object:
        with no_grad():
            return model(x, train=False)
    return call


def sample(call: Callable[[], object], found: list[energy.Meter], seconds: float) -> tuple[float, int, dict[str, float]]:
    """(seconds of one call, calls in the metered time, joules by meter).

    One call untimed, one timed; then, where there is a meter, as many as go into `seconds`, since counters move in steps of a millisecond.
    """
    time.sleep(SETTLE)
    call()
    start = time.perf_counter()
    call()
    took = time.perf_counter() - start
    if not found:
        return took, 0, {}
    calls, end = 0, time.perf_counter() + seconds
    with energy.metered(found) as joules:
        while not calls or time.perf_counter() < end:
            call()
            calls += 1
    return took, calls, joules


def whole_rounds(path: Path, names: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of samples.csv up to the last round in which every network was measured; a kill may have left a part of one."""
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8", "replace")
    rows = [row for row in csv.DictReader(io.StringIO(text[:text.rfind("\n") + 1])) if None not in row and None not in row.values()]
    return rows[:len(rows) // len(names) * len(names)]


def measure(place: Place, names: tuple[str, ...], batch: int, rounds: int, seconds: float) -> dict[str, object]:
    """Milliseconds per image, least and median, joules per image and watts, by the names `vgg16 ms`, `vgg16 median ms`, `vgg16 J: METER`, …

    The networks take turns, so that a slow moment of the machine hits all of them. Every sample is written to samples.csv, from which an
    interrupted measurement goes on.
    """
    path = place.folder / "samples.csv"
    known = whole_rounds(path, names)
    lines = [",".join(COLUMNS), *(",".join(row[column] for column in COLUMNS) for row in known)]
    write_whole(path, ("\n".join(lines) + "\n").encode())
    found, reasons = energy.meters()
    calls = {name: forward(name, batch) for name in names}
    for number in range(len(known) // len(names), rounds):
        say(f"cost: round {number + 1} of {rounds}")
        for name in names:
            took, count, joules = sample(calls[name], found, seconds)
            counted = [repr(joules[kind.name]) if kind.name in joules else "" for kind in (energy.Rapl, energy.Nvml)]
            append_line(path, ",".join([str(number), name, repr(took), str(count), *counted]))
    return {**figures(whole_rounds(path, names), batch), "batch": batch, "rounds": rounds, "cannot be read": reasons}


def figures(rows: list[dict[str, str]], batch: int) -> dict[str, float]:
    """The numbers by name; see `measure`. Joules are the median of the rounds, watts those over the median time."""
    values: dict[str, float] = {}
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        times = [1e3 * float(row["seconds"]) / batch for row in own]
        values |= {f"{name} ms": min(times), f"{name} median ms": statistics.median(times)}
        for kind in (energy.Rapl, energy.Nvml):
            column = f"joules: {kind.name}"
            counted = [row for row in own if row[column]]
            if counted:
                per_image = statistics.median(float(row[column]) / (int(row["calls"]) * batch) for row in counted)
                watts = 1e3 * per_image / statistics.median(times)
                values |= {f"{name} J: {kind.name}": per_image, f"{name} W: {kind.name}": watts}
    return values


def table(results: Results, names: tuple[str, ...]) -> tuple[Sheet, ...]:
    """Time, energy, and parameters and multiply-accumulates beside them."""
    from tinygradconv.explain.lecture import counting
    values: Mapping[str, Any] = results.measured
    if not values:
        return ()
    meters = [kind.name for kind in (energy.Rapl, energy.Nvml) if f"{names[0]} J: {kind.name}" in values]
    rows = []
    for name in names:
        made = counting.network(name)
        least, macs = values[f"{name} ms"], counting.macs(made)
        rows.append((name, made.input_shape, counting.parameters(made), macs, least, values[f"{name} median ms"], macs / least / 1e6,
                     *(values[f"{name} {unit}: {meter}"] for meter in meters for unit in ("J", "W"))))
    three = "{:.3g}".format
    columns = (Column("network", "network"), Column("input", "input", lambda shape: "×".join(map(str, shape))),
               Column("parameters", "parameters", "{:,}".format, numeric=True), Column("MACs", "macs", "{:,}".format, numeric=True),
               Column("least ms", "ms", three, numeric=True), Column("median ms", "median_ms", three, numeric=True),
               Column("GMAC/s", "gmacs", three, numeric=True),
               *(Column(f"{unit} {meter}", f"{unit}_{meter}", three, numeric=True) for meter in meters
                 for unit in ("J per image,", "watts,")))
    notes = [f"Milliseconds per image, in batches of {values['batch']}, forward only, in evaluation; {values['rounds']} samples of each, "
             f"taken in turns. Energy includes what the device takes when idle."]
    notes += [f"Energy could not be read: {reason}." for reason in values["cannot be read"]]
    return (Sheet(columns, tuple(rows), name="cost", title="Forward time and energy per image", notes=tuple(notes)),)


def power_ratio(names: tuple[str, ...]) -> Callable[[Results], float]:
    """The highest power of these networks over the lowest, by the first meter that there is."""
    def measured(results: Results) -> float:
        kind = next((kind for kind in (energy.Rapl, energy.Nvml) if f"{names[0]} W: {kind.name}" in results.measured), energy.Rapl)
        watts = [results.number(f"{name} W: {kind.name}") for name in names]
        return max(watts) / min(watts)
    return measured


def picture(axes: Any, place: Place, results: Results, names: tuple[str, ...]) -> None:
    """Milliseconds per image, a bar for each network."""
    if results.measured:
        bars(axes, place, list(names), [results.number(f"{name} ms") for name in names], "milliseconds per image, least")


def form(says: str, names: tuple[str, ...], batch: int, rounds: int, seconds: float, expectations: tuple[Expectation, ...]) -> Form:
    """So many rounds of these networks."""
    return Form(says, (), expectations, measure=partial(measure, names=names, batch=batch, rounds=rounds, seconds=seconds),
                tables=partial(table, names=names), pictures={"times": partial(picture, names=names)})


def orders(names: tuple[str, ...]) -> tuple[Expectation, ...]:
    """What the paper says of these families: AlexNet is the fastest, VGG the slowest, and power hardly depends on the network."""
    def faster(name: str, than: str) -> Expectation:
        return Expectation(f"time of {name} over {than}", ratio(f"{name} ms", f"{than} ms"), 0, 1, "below 1", CANZIANI, "×")

    pairs = (("alexnet", "googlenet"), ("alexnet", "resnet18"), ("resnet18", "resnet50"), ("googlenet", "vgg16"), ("resnet50", "vgg16"))
    return (*(faster(*pair) for pair in pairs),
            Expectation("highest power over lowest", power_ratio(names), 1, 1.5, "about 1", CANZIANI, "×"))


SMALL = ("alexnet", "zfnet", "vgg16", "googlenet", "resnet18", "resnet34", "resnet50")
FULL = ("alexnet", "zfnet", "vgg11", "vgg16", "vgg19", "googlenet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
EXPERIMENT = Experiment(
    "cost", "Forward time and energy of the families", "What does an answer cost, in time and in energy, from AlexNet to ResNet?",
    ("Canziani, Paszke and Culurciello 2017, An analysis of deep neural network models for practical applications",),
    {"quick": lambda: form("LeNet-5 and ResNet-20, two rounds.", ("lenet5", "resnet20"), 1, 2, 0.05, (
        Expectation("time of lenet5 over resnet20", ratio("lenet5 ms", "resnet20 ms"), 0, 1, "not published", "", "×"),)),
     "small": lambda: form("one image at a time, 9 rounds, on this machine's processor.", SMALL, 1, 9, 0.3, orders(SMALL)),
     "full": lambda: form("eight images at a time, 25 rounds, on this machine's processor.", FULL, 8, 25, 1.0, orders(SMALL))})
