"""The command line: one file per command, with its parser and what it does; what a command needs is imported when it runs.

To add a command: a file beside these with `add(commands)`, which makes its parser and sets `run`, a function of the parsed
arguments that returns the exit code; and its name in COMMANDS.
"""
from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from . import curves, diagram, doctor, eval, experiment, models, plan, predict, summary, tables, train
from .arguments import Parser

FAILED = 1
COMMANDS = (train, eval, predict, curves, summary, models, plan, diagram, tables, experiment, doctor)


def parser() -> Parser:
    """The commands and their options."""
    top = Parser(prog="tinygradconv", description="See how a convolutional network learns, and train it fast.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for a failure (one line on standard error), 2 for wrong usage, 130 after Ctrl-C.

    What Python would print as a warning, with the line of the program that it came from, is one line on standard error too.
    """
    top = parser()
    asked = top.parse_args(arguments)
    if asked.command is None:
        top.error("name a command")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _remark
            code = asked.run(asked)
        sys.stdout.flush()
        return code
    except BrokenPipeError:                                    # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ValueError, OSError, ArithmeticError, ImportError, MemoryError) as problem:
        print(f"tinygradconv: {' '.join(str(problem).split()) or type(problem).__name__}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tinygradconv: stopped", file=sys.stderr)
        return 130


def _remark(message: Warning | str, *_: Any) -> None:
    print(f"tinygradconv: {message}", file=sys.stderr)
