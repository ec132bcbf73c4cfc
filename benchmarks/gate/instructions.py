"""How many instructions a work takes, counted by Valgrind's callgrind: exact, whatever else the machine does.

Callgrind follows the whole process, some hundred times slower than the processor, but counts only between the two marks of `markers.c`.
It writes one file a work: blocks of lines that say in which object file and function the next costs were spent. From it come two
numbers: the instructions in our compiled kernels, and all others (Python, NumPy, the C library), which are dispatch for the most part.
Counting the same commit twice gives the same numbers to the last digit.
"""
from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from .build import Commit, GateError
from .process import Worker

LIBRARY = Path(__file__).with_name("markers.c")
OBJECT = re.compile(r"^(c?ob)=\((\d+)\)(?: (.*))?$")
TRIGGER = "desc: Trigger: Client Request: "


class Instructions(NamedTuple):
    """Of one call of one work; `modules` names the compiled modules among them."""

    kernels: int
    others: int
    modules: tuple[str, ...]


def instructions(commit: Commit, works: list[str]) -> dict[str, Instructions]:
    """{work: instructions} for the works that this commit can run; GateError where valgrind is missing."""
    if not shutil.which("valgrind"):
        raise GateError("valgrind was not found. Install it (Debian: apt install valgrind), or leave the count out: --no-instructions")
    with tempfile.TemporaryDirectory() as folder:
        prefix = ("valgrind", "--tool=callgrind", "--collect-atstart=no", "--compress-pos=no", "--dump-line=no",
                  f"--callgrind-out-file={folder}/out", f"--log-file={folder}/log")
        markers = _markers(Path(folder))
        with Worker(commit, prefix=prefix) as worker:
            for work in works:
                worker.ask("mark", work=work, markers=markers)
        counts = dict(_read(path.read_text()) for path in Path(folder).glob("out.*"))
        return {work: counts[work] for work in works if work in counts}


def _markers(folder: Path) -> str:
    """The library with the marks, compiled."""
    made = folder / "markers.so"
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", str(LIBRARY), "-o", str(made)], capture_output=True, text=True)
    if done.returncode:
        raise GateError(f"markers.c does not compile; it needs valgrind/callgrind.h, which comes with valgrind:\n{done.stderr}")
    return str(made)


def _read(text: str) -> tuple[str, Instructions]:
    """(work, instructions) of one file. A name is given once with its number and by the number alone from then on.

    `ob=(3) conv_v3.so` names the object file of the lines of costs that follow, `cob=` that of a function called; the line of costs
    after `calls=` is what the called function spent, which is counted where that function stands.
    """
    objects: dict[str, str] = {}
    spent: dict[str, int] = {}
    where, work, calls = "", "", False
    for line in text.splitlines():
        if line.startswith(TRIGGER):
            work = line.removeprefix(TRIGGER)
        elif named := OBJECT.match(line):
            key, number, name = named.groups()
            objects[number] = name or objects[number]
            where = objects[number] if key == "ob" else where
        elif line.startswith("calls="):
            calls = True
        elif line[:1].isdigit():
            if not calls:
                spent[where] = spent.get(where, 0) + int(line.split()[-1])
            calls = False
    ours = {name: cost for name, cost in spent.items() if "/_compiled/" in name and not Path(name).name.startswith("memory")}
    modules = tuple(sorted(Path(name).name.partition(".")[0] for name in spent if "/_compiled/" in name))
    return work, Instructions(sum(ours.values()), sum(spent.values()) - sum(ours.values()), modules)
