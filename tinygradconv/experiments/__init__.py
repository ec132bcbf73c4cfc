"""Paper experiments: what was published beside what our networks do, each a frozen description that is executed, judged and reported.

    python -m tinygradconv experiment degradation --small        # or --quick, --full; experiment --list names them

    description.py   what an experiment is          images.py     its images
    place.py         its folder                     execute.py    training and measuring, interruptible
    results.py       what the logs tell             judge.py      inside or outside the expected range
    report.py        Markdown and JSON              pictures.py   PNG and SVG
    lenet5.py, degradation.py, removal.py, pooling.py, ensemble.py, cost.py    the experiments; energy.py: counters of joules
"""
from __future__ import annotations

import difflib

from . import cost, degradation, ensemble, lenet5, pooling, removal
from .description import FORMS, Expectation, Experiment, Form, Net

EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT
                                      for module in (lenet5, degradation, removal, pooling, ensemble, cost)}


def get(name: str) -> Experiment:
    """The experiment called `name`; ValueError lists the names and says which is closest."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(str(name).lower(), EXPERIMENTS, n=1)
        closest = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"there is no experiment {name!r}{closest} The experiments are: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


__all__ = ["EXPERIMENTS", "FORMS", "Expectation", "Experiment", "Form", "Net", "get"]
