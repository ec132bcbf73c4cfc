"""Counters of energy: the processor's packages (RAPL, read by Linux) and graphics cards (NVML), where they may be read."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """Something that counts joules."""

    name: str

    def read(self) -> list[float]:
        """The counters now, in joules."""

    def between(self, before: list[float], after: list[float]) -> float:
        """The joules between two readings."""


class Rapl:
    """The energy of all processor packages, cores and caches, without memory. A counter starts anew at its end."""

    name = "processor packages (RAPL)"

    def __init__(self, root: Path = POWERCAP) -> None:
        self.files, self.ends = [], []
        for domain in sorted(root.glob("*rapl:*")):
            with contextlib.suppress(OSError, ValueError):
                if (domain / "name").read_text().startswith("package"):
                    int((domain / "energy_uj").read_text())            # a file that only root may read says so here
                    self.ends.append(int((domain / "max_energy_range_uj").read_text()) * 1e-6)
                    self.files.append(domain / "energy_uj")
        if not self.files:
            raise OSError(f"no package's energy_uj under {root} can be read (Linux shows it to root, or after chmod a+r)")

    def read(self) -> list[float]:
        """The counters now, in joules."""
        return [int(file.read_text()) * 1e-6 for file in self.files]

    def between(self, before: list[float], after: list[float]) -> float:
        """The joules between two readings less than one turn of a counter apart."""
        return sum((b - a) % end for a, b, end in zip(before, after, self.ends))


class Nvml:
    """The energy of all NVIDIA cards since their driver was loaded; Volta or newer."""

    name = "graphics cards (NVML)"

    def __init__(self, library: Any = None) -> None:
        if library is None:
            try:
                import pynvml as library
            except ImportError:
                raise OSError("NVML is not there (pip install nvidia-ml-py)") from None
        try:
            library.nvmlInit()
            self.library = library
            self.cards = [library.nvmlDeviceGetHandleByIndex(i) for i in range(library.nvmlDeviceGetCount())]
            self.read()
        except library.NVMLError as problem:
            raise OSError(f"NVML cannot be read ({problem})") from None
        if not self.cards:
            raise OSError("NVML knows of no card")

    def read(self) -> list[float]:
        """The counters now, in joules."""
        return [self.library.nvmlDeviceGetTotalEnergyConsumption(card) * 1e-3 for card in self.cards]

    def between(self, before: list[float], after: list[float]) -> float:
        """The joules between two readings."""
        return sum(b - a for a, b in zip(before, after))


def meters() -> tuple[list[Meter], list[str]]:
    """(the meters that can be read, why the others cannot)."""
    found: list[Meter] = []
    reasons: list[str] = []
    for kind in (Rapl, Nvml):
        try:
            found.append(kind())
        except OSError as problem:
            reasons.append(str(problem))
    return found, reasons


@contextlib.contextmanager
def metered(found: list[Meter]) -> Iterator[dict[str, float]]:
    """What each meter counts within the block of a `with`, in joules by its name, known once the block has ended."""
    joules: dict[str, float] = {}
    before = [meter.read() for meter in found]
    yield joules
    for meter, start in zip(found, before):
        joules[meter.name] = meter.between(start, meter.read())
