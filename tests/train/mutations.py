"""Damages the files of a run in every way, thousands of times, and reads them: each is refused with a clear error, or read as it was.

    python -m tests.train.mutations 10000 [--seed 0]

The files are state.safetensors, last.safetensors, best.safetensors, config.json, log.csv and state.json of a run; the damage is changed
bits, what is cut, put in, doubled or exchanged, and lies in the header: numbers, offsets, shapes, dtypes, lengths, deep JSON. Half of the
damaged headers get a right checksum again, as of somebody who means harm: then what is read must be an error or arrays, and no more is
asked. A line is printed for every file: how many were refused, and how many read as they were. (tests/data/test_mutations.py does the
same to 20,000 files of data sets.)
"""
from __future__ import annotations

import argparse
import hashlib
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.data.test_mutations import mutations
from tests.train import toy
from tinygradconv.train.snapshot import Run
from tinygradconv.train.state import STATES
from tinygradconv.train.training import Training

SECONDS, BYTES = 1.0, 200_000_000              # of the processor and of memory, that reading one file may take at most
SHARES = {"state.safetensors": 0.4, "last.safetensors": 0.2, "best.safetensors": 0.1, "config.json": 0.1, "log.csv": 0.15,
          "state.json": 0.05}                  # of the files that are damaged
NUMBERS = (b"-1", b"0", b"1", b"NaN", b"1e999", b"18446744073709551615", b"9" * 5000, b"0.5", b'"8"', b"null", b"[]", b"true")
DTYPES = (b'"F64"', b'"F16"', b'"BF16"', b'"I32"', b'"U8"', b'"F8_E4M3"', b'"F4"', b'"BOOL"', b'"X32"', b"32", b"null")
NAMES = (b'""', b'"log"', b'"data_offsets"', b'"__metadata__"', b'"model.0.weight"', b'"\\u0000"')
DEEP = (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900, b'"' + b"x" * 1_000_000 + b'"')
LENGTHS = (0, 1, 7, 8, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def lying(sound: bytes, draw: random.Random) -> bytes:
    """A safetensors file whose header lies, and half the time has a right checksum."""
    size = int.from_bytes(sound[:8], "little")
    header, values = sound[8:8 + size], sound[8 + size:]
    how = draw.randrange(6)
    if how == 0:                                       # a number, wherever it stands
        header = replaced(header, rb"-?\d+", NUMBERS, draw)
    elif how == 1:
        header = replaced(header, rb'"[FIU]\d+"', DTYPES, draw)
    elif how == 2:                                     # two numbers change places: offsets cross, shapes turn
        found = [*re.finditer(rb"\d+", header)]
        one, two = sorted(draw.sample(found, 2), key=lambda match: match.start())
        header = header[:one.start()] + two[0] + header[one.end():two.start()] + one[0] + header[two.end():]
    elif how == 3:
        header = replaced(header, rb"\[[^\]]*\]|\d+|\"[^\"]*\"", DEEP, draw)
    elif how == 4:                                     # a name, of an array or of a field of what was said
        header = replaced(header, rb'"[\w.]+\\*"', NAMES, draw)
    lied = draw.choice(LENGTHS) if how == 5 else len(header)
    data = lied.to_bytes(8, "little") + header + values
    return sealed(data) if draw.random() < 0.5 else data


def replaced(header: bytes, pattern: bytes, others: tuple[bytes, ...], draw: random.Random) -> bytes:
    found = draw.choice([*re.finditer(pattern, header)] or [re.match(b"", header)])
    return header[:found.start()] + draw.choice(others) + header[found.end():]


def sealed(data: bytes) -> bytes:
    """With the checksum that these bytes ought to have."""
    found = re.search(rb'\\"sha256\\": \\"([0-9a-f]{64})', data)
    if not found:
        return data
    blank = data[:found.start(1)] + b"0" * 64 + data[found.end(1):]
    return data[:found.start(1)] + hashlib.sha256(blank).hexdigest().encode() + data[found.end(1):]


class Reading:
    """A finished run in a folder of its own, whose files are damaged one at a time."""

    def __init__(self, place: Path) -> None:
        self.whole, self.folder = place / "whole", place / "spoilt"
        toy.run(self.whole)
        shutil.copytree(self.whole, self.folder)
        self.sound = {path.name: path.read_bytes() for path in self.whole.iterdir()}
        self.training = Training(toy.SPEC.build((7, 7, 1), seed=5), toy.data(), toy.RECIPE, 5)
        self.expected = {}
        for name, read in self.readers().items():
            self.put(name, self.sound[name])
            self.expected[name] = read()

    def put(self, name: str, data: bytes) -> None:
        """Make the folder what it was, but for one file."""
        for other, sound in self.sound.items():
            (self.folder / other).write_bytes(data if other == name else sound)

    def readers(self) -> dict[str, Callable[[], object]]:
        """What reads each file, and gives all that it holds."""
        return {"state.safetensors": self.state, "last.safetensors": lambda: self.weights("last"),
                "best.safetensors": lambda: self.weights("best"), "config.json": self.config,
                "log.csv": lambda: Run.open(self.folder).rows(), "state.json": self.state}

    def state(self) -> object:
        """All of the newest state, taken up by a training, with no snapshot before it to go back to."""
        (self.folder / "state.previous.safetensors").unlink(missing_ok=True)
        state, problems = Run.open(self.folder).load()
        self.training.restore(state)
        held = {f"{part}.{path}": (a.dtype.str, a.shape, a.tobytes()) for part in ("model", "optimizer", "ema")
                for path, a in getattr(state, part).items()}
        return held, state.position, state.tuned, state.early_stop, problems

    def weights(self, name: str) -> object:
        """The arrays of a file of weights."""
        return {path: (a.dtype.str, a.shape, a.tobytes()) for path, a in Run.open(self.folder).weights(name).items()}

    def config(self) -> object:
        """What a run was begun with, with no snapshot to take it from."""
        for snapshot in STATES:
            (self.folder / snapshot).unlink(missing_ok=True)
        return Run.open(self.folder).config

    def outcome(self, name: str, data: bytes, honest: bool) -> str:
        """What reading a file does that holds these bytes: it is refused, or as it was, or a lie with a right checksum is read.

        AssertionError: anything else.
        """
        self.put(name, data)
        begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with warnings.catch_warnings(action="error"):
                found = self.readers()[name]()
        except (ValueError, OSError) as problem:
            assert type(problem) in (ValueError, FileNotFoundError), repr(problem)
            assert name in str(problem) or not honest, problem
            assert len(str(problem)) < 1500, str(problem)[:3000]
            result = "refused"
        else:
            assert found == self.expected[name] or not honest, f"a wrong load of {name}"
            result = "as it was" if found == self.expected[name] else "read, sealed by a liar"
        spent = time.process_time() - begun
        assert spent < SECONDS, f"{name}: {spent:.1f} s"
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES, f"{name}: memory"
        return result


def damaged(sound: bytes, name: str, count: int, seed: int):
    """(bytes, whether the checksum was left alone) of damaged copies."""
    draw = random.Random(seed)
    for data in mutations(sound, count, seed, head=min(3000, len(sound))):
        if name.endswith(".safetensors") and draw.random() < 0.5:
            lie = lying(sound, draw)
            yield lie, sealed(lie) != lie or lie == sound
        elif draw.random() < 0.1:
            at = draw.randrange(len(sound))
            yield sound[:at] + bytes([sound[at] ^ 1 << draw.randrange(8)]) + sound[at + 1:], True          # one bit
        else:
            yield data, True


def main(arguments: list[str] | None = None) -> int:
    """The program; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.train.mutations", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("count", type=int, metavar="N", help="how many files in all")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place, np.errstate(all="ignore"):
        reading = Reading(Path(place))
        for name, share in SHARES.items():
            results = Counter(reading.outcome(name, data, honest)
                              for data, honest in damaged(reading.sound[name], name, round(share * asked.count), asked.seed))
            print(f"{name:20} {results.total():6}  {', '.join(f'{count} {what}' for what, count in results.most_common())}", flush=True)
            total += results
    print(f"{total.total()} mutated files: {total['refused']} refused, {total['as it was']} read as they were, "
          f"{total['read, sealed by a liar']} read with the right checksum of a liar, no wrong load")
    return 0


if __name__ == "__main__":
    sys.exit(main())
