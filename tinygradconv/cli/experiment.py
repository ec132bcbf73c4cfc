"""tinygradconv experiment: what a paper says beside what our networks do."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMS = {"quick": "seconds, on the shipped digits: to see that it runs", "small": "minutes to half an hour on two cores (the default)",
         "full": "as the paper did it"}


def add(commands: Any) -> None:
    """Its parser."""
    experiment = commands.add_parser("experiment", help="what a paper says beside what our networks do",
                                     description="Execute the experiment of a paper: train its networks, judge them, write a report.")
    experiment.add_argument("name", metavar="NAME", nargs="?", help="its name (--list names them)")
    experiment.add_argument("--list", action="store_true", help="the experiments that there are")
    form = experiment.add_mutually_exclusive_group()
    for name, said in FORMS.items():
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=said)
    experiment.add_argument("--data-dir", metavar="ROOT", help="the folder that holds mnist/, …; default: TGC_DATA, then a cache folder")
    experiment.add_argument("--out", metavar="DIR", type=Path, help="its folder, new or empty; default: runs/NAME-FORM")
    again = experiment.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with the experiment in that folder")
    again.add_argument("--report", action="store_true", help="only write the report of that folder anew, from its logs")
    experiment.set_defaults(parser=experiment, run=run, form="small")


def run(asked: argparse.Namespace) -> int:
    """Execute it; the exit code."""
    from tinygradconv import experiments
    if asked.list:
        width = max(map(len, experiments.EXPERIMENTS))
        for name, experiment in experiments.EXPERIMENTS.items():
            print(f"{name.ljust(width)}  {experiment.title}: {experiment.asks}")
        return 0
    if asked.name is None:
        asked.parser.error("name an experiment; --list names them")
    from tinygradconv.experiments import report
    from tinygradconv.experiments.execute import execute
    from tinygradconv.experiments.place import Place
    experiment = experiments.get(asked.name)
    folder = asked.out or Path("runs") / f"{asked.name}-{asked.form}"
    if asked.resume or asked.report:
        place = Place.open(folder, experiment, asked.form)
    else:
        place = Place.create(folder, experiment, asked.form, asked.data_dir)
    if asked.report:
        report.write(place)
    elif code := execute(place, asked.data_dir):
        return code
    print(report.summary(place))
    return 0
