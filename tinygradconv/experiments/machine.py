"""What a result was computed on: the processor, the threads, the versions."""
from __future__ import annotations

import contextlib
import platform
from pathlib import Path

from tinygradconv.settings import get as setting
from tinygradconv.train.config import versions

PROCESSORS = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's name, as Linux tells it; elsewhere what Python knows."""
    with contextlib.suppress(OSError):
        for line in PROCESSORS.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def machine() -> dict[str, object]:
    """What a report says of the machine that it was made on."""
    return {"processor": processor(), "system": f"{platform.system()} {platform.machine()}", "threads": setting("threads"), **versions()}


def described(machine: dict[str, object]) -> str:
    """One line of it."""
    names = {"processor": "", "system": "", "threads": "threads ", "tinygradconv": "tinygradconv ", "numpy": "NumPy ", "python": "Python ",
             "kernels": "kernels "}
    return ", ".join(f"{said}{machine[name]}" for name, said in names.items() if name in machine)
