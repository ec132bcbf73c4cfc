"""Every setting of tinygradconv: one table.

Each setting has a default, can be given as an environment variable (read when tinygradconv is imported), and can be
changed for a block of code with `with settings(...)`; that change is seen only by the code in the block (it is
context-local: other threads and tasks keep theirs).

>>> with settings(threads=1):
...     get("threads")
1
"""
from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One row of the table: environment variable, default, how text becomes a value, when it is read, what it does."""

    variable: str
    default: Callable[[], Any]
    parse: Callable[[str], Any]
    read: str
    does: str


MOST_THREADS = 1024        # a kernel's scratch grows with the threads, and OpenMP ends the process where it can start no more


def _usable_cpus() -> int:
    """The CPUs that this process may run on, or fewer where OMP_NUM_THREADS says so."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(int(first), MOST_THREADS) if first.isdecimal() and int(first) > 0 else cpus


def _thread_count(text: object) -> int:
    try:
        number = int(text) if isinstance(text, str) else 0 if isinstance(text, bool) else operator.index(text)
    except (ValueError, TypeError):
        raise ValueError(f"must be an integer from 1 to {MOST_THREADS}") from None
    if number < 1:
        raise ValueError("must be at least 1")
    if number > MOST_THREADS:
        raise ValueError(f"must be at most {MOST_THREADS}")
    return number


def _folder(name: object) -> str:
    try:
        return os.fspath(name)
    except TypeError:
        raise ValueError("must be the name of a folder") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: object) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(repr(c) for c in choices)}")
        return text
    return parse


def _flag(text: object) -> bool:
    if isinstance(text, bool):
        return text
    if str(text).lower() in ("1", "true", "yes", "on"):
        return True
    if str(text).lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("must be 1 or 0")


SETTINGS: dict[str, Setting] = {
    "threads": Setting("TGC_THREADS", _usable_cpus, _thread_count, "at each kernel",
                       "threads of the CPU kernels; the default is the CPUs that the process may use, or OMP_NUM_THREADS"),
    "backend": Setting("TGC_BACKEND", lambda: "cpu", _one_of("cpu", "reference"), "at each kernel",
                       "'reference' runs every CPU kernel as its NumPy definition: slow, and right by inspection"),
    "isa": Setting("TGC_ISA", lambda: "", _one_of("", "v2", "v3", "v4", "base"), "when the first kernel is loaded",
                   "the instruction set of the CPU kernels (x86-64-v2, v3 = AVX2, v4 = AVX-512, or the machine's base); '' takes the best"),
    "exact": Setting("TGC_EXACT", lambda: False, _flag, "at each convolution",
                     "1 keeps to direct convolution: no Winograd, whose float32 results are 2 times as fast and 6 times as far from exact"),
    "tune": Setting("TGC_TUNE", lambda: False, _flag, "at each convolution",
                    "1 times the algorithms of every convolution that is met and keeps to the fastest; the last bits then depend on it"),
    "anomaly": Setting("TGC_ANOMALY", lambda: False, _flag, "at each op",
                       "1 checks every result, forward and backward, and names the op and line where the first NaN or infinity was born"),
    "precision": Setting("TGC_PRECISION", lambda: "fp32", _one_of("fp32", "tf32", "bf16"), "at each matmul and convolution on the GPU",
                         "what tensor cores round the operands of a product to, sums staying float32; 'fp32' rounds nothing and uses none"),
    "launch_blocking": Setting("TGC_LAUNCH_BLOCKING", lambda: False, _flag, "at each kernel on the GPU",
                               "1 waits for each kernel to end, so that what goes wrong in it is said with its name and shapes"),
    "poison": Setting("TGC_POISON", lambda: False, _flag, "at each array made on the GPU",
                      "1 fills fresh arrays with NaN (integers with -1), so that what a kernel reads, or leaves, unwritten shows"),
    "data": Setting("TGC_DATA", lambda: "", _folder, "when a data set is opened",
                    "the folder that holds mnist/, cifar-10-batches-bin/, …; '' is a cache folder in the user's home"),
}

_initial: dict[str, Any] = {}
_current: ContextVar[dict[str, Any]] = ContextVar("tinygradconv settings", default=_initial)
_read = _current.get                       # looked up once: every op asks, and finding the method takes longer than the answer


def _parsed(name: str, value: object, said: str) -> Any:
    try:
        return SETTINGS[name].parse(value)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{said}={value!r}: {problem} ({SETTINGS[name].does})") from None


for _name, _setting in SETTINGS.items():
    _text = os.environ.get(_setting.variable)
    _initial[_name] = _setting.default() if _text is None else _parsed(_name, _text, _setting.variable)


def get(name: str) -> Any:
    """The value of one setting, here and now."""
    return _read()[name]


def current() -> dict[str, Any]:
    """All settings by name, here and now, for those who read several; to be read only."""
    return _read()


@contextlib.contextmanager
def settings(**changes: Any) -> Iterator[None]:
    """Change settings for a block: `with tgc.settings(threads=1, backend="reference"): …`.

    ValueError for a name that is not in the table or a value that the setting does not take.
    """
    for name in changes:
        if name not in SETTINGS:
            raise ValueError(f"settings() has no {name!r}; there are: {', '.join(SETTINGS)}")
    token = _current.set({**_current.get(), **{name: _parsed(name, value, name) for name, value in changes.items()}})
    try:
        yield
    finally:
        _current.reset(token)
