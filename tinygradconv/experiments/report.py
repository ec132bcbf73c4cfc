"""The report of an experiment: expected beside got, seeds, times, the machine; as Markdown, as JSON, as pictures. Made of the logs."""
from __future__ import annotations

import json
import math
from typing import Any

from tinygradconv.interop.files import write_whole
from tinygradconv.spec.table import Column, Sheet

from . import pictures
from .judge import INSIDE, Verdict, judge
from .machine import described
from .place import Place
from .results import Results


def number(value: float, unit: str) -> str:
    """A number with its unit, as the tables of a report have it: `0.95 %`, `−0.31 points`, `× 0.84`."""
    text = f"{value:.2f}".replace("-", "−")
    return f"× {text}" if unit == "×" else f"{text} {unit}".rstrip()


def expected(verdicts: list[Verdict]) -> Sheet:
    """What was published beside what was got."""
    rows = []
    for verdict in verdicts:
        one = verdict.expectation
        got = "" if verdict.got is None else number(verdict.got, one.unit)
        rows.append((one.says, one.published, one.range, got, verdict.word, one.source))
    columns = (Column("what", "says", width=40), Column("published", "published", numeric=True), Column("range", "range", numeric=True),
               Column("got", "got", numeric=True), Column("verdict", "verdict"), Column("source", "source", width=40))
    return Sheet(columns, tuple(rows), name="expected", title="Expected and got")


def networks(place: Place, results: Results) -> Sheet:
    """The networks: seed, epochs, errors, time."""
    def percent(value: float | None) -> str:
        return "" if value is None else f"{value:.2f} %"

    rows = []
    for net in place.form.nets:
        run = results.runs.get(net.key)
        last = run.points[-1] if run and run.points else None
        best = min((point.error for point in run.points), default=None) if run else None
        rows.append((net.title, str(net.images), net.seed, f"{last.epoch if last else 0} of {net.recipe.epochs}",
                     percent(last and last.error), percent(best), percent(last and last.train_error), duration(run.seconds) if run else ""))
    columns = (Column("network", "network"), Column("images", "images"), Column("seed", "seed", numeric=True),
               Column("epochs", "epochs", numeric=True), Column("test error", "error", numeric=True),
               Column("best epoch's", "best", numeric=True), Column("training error", "train_error", numeric=True),
               Column("time", "time", numeric=True))
    return Sheet(columns, tuple(rows), name="networks", title="Networks", notes=(
        "Test error: after the last epoch, which is what is judged. Training error: on the images as they were learnt in that epoch, "
        "augmented, by weights that moved. Time: of training, without the tests.",))


def duration(seconds: float) -> str:
    """12.3 s, 4 min 07 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def markdown(place: Place, results: Results, verdicts: list[Verdict], pictured: list[str]) -> str:
    """report.md."""
    form, experiment = place.form, place.experiment
    parts = [f"# {experiment.title}", experiment.asks, f"Form `{place.form_name}`: {form.says}",
             "\n".join(f"- {paper}" for paper in experiment.papers)]
    if place.form_name == "quick":
        parts.append("**This form only shows that everything runs. Its numbers, and so its verdicts, mean nothing.**")
    parts.append(expected(verdicts).to_markdown())
    if form.tables is not None:
        parts += [sheet.to_markdown() for sheet in form.tables(results)]
    if form.nets:
        parts.append(networks(place, results).to_markdown())
    parts += [f"![{name}]({name}.svg)" for name in pictured]
    if not pictured and form.pictures:
        parts.append(f"No pictures: {pictures.MISSING}.")
    total = sum(run.seconds for run in results.runs.values())
    if total:
        parts.append(f"Training took {duration(total)} in all.")
    parts += [described(machine) for machine in place.config["machines"]]
    return "\n\n".join(parts) + "\n"


def values(place: Place, results: Results, verdicts: list[Verdict]) -> dict[str, Any]:
    """report.json."""
    def bound(value: float) -> float | None:
        return value if math.isfinite(value) else None

    judged = [{"says": v.expectation.says, "published": v.expectation.published, "source": v.expectation.source,
               "low": bound(v.expectation.low), "high": bound(v.expectation.high), "unit": v.expectation.unit,
               "got": None if v.got is None else bound(v.got), "verdict": v.word} for v in verdicts]
    trained = []
    for net in place.form.nets:
        run = results.runs.get(net.key)
        trained.append({"key": net.key, "title": net.title, "images": str(net.images), "seed": net.seed, "epochs": net.recipe.epochs,
                        "finished": bool(run and run.finished), "seconds": run.seconds if run else 0.0,
                        "points": [{"epoch": p.epoch, "error": p.error, "train_error": p.train_error, "seconds": p.seconds}
                                   for p in (run.points if run else ())]})
    return {"experiment": place.experiment.name, "form": place.form_name, "title": place.experiment.title, "says": place.form.says,
            "papers": list(place.experiment.papers), "verdicts": judged, "networks": trained, "measured": dict(results.measured),
            "machines": place.config["machines"]}


def write(place: Place) -> None:
    """Make report.md, report.json and the pictures of what is there now."""
    results = place.results()
    verdicts = judge(place.form.expectations, results)
    pictured = pictures.draw(place, results)
    write_whole(place.folder / "report.json", (json.dumps(values(place, results, verdicts), indent=1, allow_nan=False) + "\n").encode())
    write_whole(place.folder / "report.md", markdown(place, results, verdicts, pictured).encode())


def summary(place: Place) -> str:
    """What the command prints at its end: what was expected beside what was got, and where the report is."""
    verdicts = judge(place.form.expectations, place.results())
    inside = sum(verdict.word == INSIDE for verdict in verdicts)
    return f"{expected(verdicts)}\n\n{inside} of {len(verdicts)} inside; the report is {place.folder / 'report.md'}"
