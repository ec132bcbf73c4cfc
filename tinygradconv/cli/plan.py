"""tinygradconv plan: which layers of a network run as one op, and why."""
from __future__ import annotations

import argparse
from typing import Any

from .network import add_network, network


def add(commands: Any) -> None:
    """Its parser."""
    plan = commands.add_parser("plan", help="which layers of a network run as one op, and why",
                               description="Which layers run as one op, and why, in training and in evaluation.")
    add_network(plan)
    choice = plan.add_mutually_exclusive_group()
    choice.add_argument("--training", dest="modes", action="store_const", const=(True,), help="in training only")
    choice.add_argument("--evaluation", dest="modes", action="store_const", const=(False,), help="in evaluation only")
    plan.set_defaults(run=run, modes=(True, False))


def run(asked: argparse.Namespace) -> int:
    """Print the plans; the exit code."""
    spec, shape = network(asked)
    parts = []
    for train in asked.modes:
        plan = spec.plan(shape, train=train)
        layers = sum(len(group.steps) for group in plan.groups)
        parts.append(f"In {'training' if train else 'evaluation'}: {layers} layers run as {len(plan.groups)} ops.\n\n{plan}")
    print("\n\n".join(parts))
    return 0
