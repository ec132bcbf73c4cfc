"""The command line: tinygradconv train | eval | summary. Each command is one function; what it needs is imported when it runs."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

WRONG_USAGE, FAILED = 2, 1
COLUMNS = """
For one image. MACs: multiply-accumulates; activation: memory of the output; kept: what the
backward pass needs, each array counted once; field: the cells of the input that one value
has seen; stride: how many of them apart neighbouring values look."""


class _Parser(argparse.ArgumentParser):
    """argparse, with the whole help where something is wrong."""

    def error(self, message: str) -> NoReturn:
        self.print_help(sys.stderr)
        self.exit(WRONG_USAGE, f"\n{self.prog}: {message}\n")


def _integer(least: int, most: int = 2**63 - 1) -> Any:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {number}" if number < least
                                             else f"must be at most {most}, got {number}")
        return number
    return parse


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) not in (2, 3) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"must be HxWxC, such as 28x28x1, got {text!r}")
    return tuple(map(int, parts))


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = _Parser(prog="tinygradconv", description="See how a convolutional network learns, and train it fast.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    train = commands.add_parser("train", help="train a model, or go on with a run that was stopped",
                                description="Train MODEL, or go on with a run: the end has the same bits as if it had never stopped.")
    train.add_argument("model", metavar="MODEL", nargs="?", help="lenet5, …")
    train.add_argument("--resume", metavar="RUN", help="go on with the run in this folder (no MODEL)")
    train.add_argument("--data", metavar="NAME", help="the data set: digits (shipped; the default), mnist, fashion-mnist")
    train.add_argument("--data-dir", metavar="ROOT", help="the folder that holds mnist/, …; default: TGC_DATA, then a cache folder")
    train.add_argument("--epochs", metavar="N", type=_integer(1, 10**6),
                       help="how often all the training images are seen; default: the recipe's")
    train.add_argument("--batch-size", metavar="N", type=_integer(1, 10**6), help="images per step; default: the recipe's")
    train.add_argument("--seed", metavar="N", type=_integer(0), help="decides weights, order and distortions; default: 0")
    train.add_argument("--out", metavar="RUN",
                       help="the folder of the run, new or empty; default: runs/MODEL-DATA, with a number where that is taken")
    train.add_argument("--recipe", metavar="NAME", help="how to train; default: the best known for the model and the data set")
    train.set_defaults(parser=train)

    evaluate = commands.add_parser("eval", help="the test accuracy of a run",
                                   description="Test the last weights of a run on its test images.")
    evaluate.add_argument("run", metavar="RUN", help="the folder of the run")
    evaluate.add_argument("--data-dir", metavar="ROOT", help="the folder that holds the data sets, where it has moved")

    summary = commands.add_parser("summary", help="a model's layers: shapes, parameters, MACs, memory",
                                  description="A model's layers in a table.")
    summary.add_argument("model", metavar="MODEL", help="lenet5, …")
    summary.add_argument("--input", metavar="HxWxC", type=_shape, help="the shape of one image; default: the model's own")
    summary.add_argument("--json", action="store_true", help="as JSON")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for a failure (one line on standard error), 2 for wrong usage, 130 after Ctrl-C."""
    top = parser()
    asked = top.parse_args(arguments)
    if asked.command is None:
        top.error("name a command")
    try:
        code = {"train": _train, "eval": _eval, "summary": _summary}[asked.command](asked)
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


def _train(asked: argparse.Namespace) -> int:
    if asked.resume is None and asked.model is None:
        asked.parser.error("name a MODEL, or a run by --resume")
    if asked.resume is not None:
        fixed = ("data", "epochs", "batch_size", "seed", "out", "recipe")
        settled = [f"--{name.replace('_', '-')}" for name in fixed if getattr(asked, name) is not None]
        if asked.model is not None or settled:
            asked.parser.error(f"--resume goes on with the run as it was begun: leave out {', '.join(settled) or asked.model}")
    from tinygradconv.train import sessions
    if asked.resume is not None:
        return sessions.reopen(Path(asked.resume)).train(asked.data_dir)
    return sessions.begin(asked.model, data=asked.data, data_dir=asked.data_dir, recipe=asked.recipe, epochs=asked.epochs,
                          batch_size=asked.batch_size, seed=asked.seed or 0, out=asked.out).train()


def _eval(asked: argparse.Namespace) -> int:
    from tinygradconv.train import sessions
    print(sessions.reopen(Path(asked.run)).evaluate(asked.data_dir))
    return 0


def _summary(asked: argparse.Namespace) -> int:
    from tinygradconv import models
    spec, shape = models.get(asked.model)
    table = spec.table(asked.input or shape)
    print(table.to_json() if asked.json else f"{table}\n{COLUMNS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
