"""The process of one commit: answers one line of JSON on its standard output for each line on its standard input.

{"do": "names"}                                   the works
{"do": "count", "work": name}                     its exact counters
{"do": "time", "work": name, "calls": n}          seconds of the quickest of n calls, after one that is not timed
{"do": "mark", "work": name, "markers": path}     one call between callgrind's marks, which are in the library at `path`

A work that this commit cannot run is answered with {"missing": why}. `timing.py` and `instructions.py` start it with the commit's own
package first on PYTHONPATH, so that the checkout, whose works these are, lends nothing else.
"""
from __future__ import annotations

import ctypes
import functools
import gc
import json
import sys
import time
from typing import Any

from tinygradconv.settings import get as setting

from .counters import counters_of
from .works import WORKS, Work


@functools.cache
def _made(name: str) -> Work:
    """The work, called twice: what the first call loads, and what the second finds in the pool, are no part of the measurements."""
    work = WORKS[name]()
    work.call()
    work.call()
    return work


def _seconds(work: Work, calls: int) -> float:
    """Of the quickest call; on one thread it is processor time, in which what other processes take is not."""
    call, clock = work.call, time.process_time_ns if setting("threads") == 1 else time.perf_counter_ns
    call()                                     # after the other process had the core, its caches are cold
    times = []
    for _ in range(calls):
        begin = clock()
        call()
        times.append(clock() - begin)
    return min(times) / 1e9


def _mark(work: Work, markers: str, name: str) -> int:
    """One call between the marks; 0, since the count is in the file that callgrind writes."""
    library = ctypes.CDLL(markers)
    begin, end, label = library.begin, library.end, name.encode()
    call = work.call
    gc.collect()
    begin()
    call()
    end(label)
    return 0


def answer(request: dict[str, Any]) -> Any:
    """The answer to one request; see the module."""
    if request["do"] == "names":
        return list(WORKS)
    name = request["work"]
    try:
        work = _made(name)
    except Exception as problem:               # whatever an older commit says to what it does not have
        return {"missing": f"{type(problem).__name__}: {problem}"}
    if request["do"] == "count":
        return counters_of(work)
    if request["do"] == "time":
        return _seconds(work, request["calls"])
    return _mark(work, request["markers"], name)


def main() -> None:
    """Serve until the input ends."""
    gc.disable()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
