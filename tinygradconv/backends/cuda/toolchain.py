"""What this machine has for CUDA: GPUs and their driver, asked without any package; the packages that compile and launch kernels."""
from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
LEAST_DRIVER = 13000                                 # kernels are compiled by CUDA 13.0's libraries; an older driver cannot load them
LEAST_ARCHITECTURE = 80                              # cp.async, tf32 and bfloat16 begin with sm_80
INSTALL = "in the repository's root run: pip install '.[cuda]'"

# What must be there, and what may come with a system's CUDA toolkit instead.
REQUIRED = ("numba", "numba-cuda", "cuda-core", "cuda-bindings")
LIBRARIES = {"nvidia-nvvm": "nvvm", "nvidia-nvjitlink": "nvJitLink"}

_MAJOR, _MINOR, _MULTIPROCESSORS = 75, 76, 16        # attributes of a device, as cuda.h numbers them
_NO_DEVICE = 100


@dataclass(frozen=True)
class GPU:
    """One GPU: its name, its architecture as a number (90 is sm_90), multiprocessors, bytes of memory."""

    name: str
    architecture: int
    multiprocessors: int
    memory: int


@dataclass(frozen=True)
class Machine:
    """The driver's CUDA version (13000 is 13.0; None: there is no driver), what it answered to cuInit, and the GPUs that it shows."""

    driver: int | None
    status: int = 0
    gpus: tuple[GPU, ...] = ()


def look(library: Any = None) -> Machine:
    """Ask the driver what there is; `library` stands in for its shared library."""
    if library is None:
        try:
            library = ctypes.CDLL(DRIVER_LIBRARY)
        except OSError:
            return Machine(None)
    number, status = ctypes.c_int(), library.cuInit(0)
    library.cuDriverGetVersion(ctypes.byref(number))
    version = number.value
    if status or library.cuDeviceGetCount(ctypes.byref(number)):
        return Machine(version, status)
    return Machine(version, 0, tuple(_gpu(library, ordinal) for ordinal in range(number.value)))


def _gpu(library: Any, ordinal: int) -> GPU:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(device), ordinal)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)

    def attribute(which: int) -> int:
        number = ctypes.c_int()
        library.cuDeviceGetAttribute(ctypes.byref(number), which, device)
        return number.value
    return GPU(name.value.decode(), 10 * attribute(_MAJOR) + attribute(_MINOR), attribute(_MULTIPROCESSORS), memory.value)


def version_of(package: str) -> str | None:
    """The installed version of a package, None where it is not installed; nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def library_path(name: str) -> str | None:
    """Where a library of the CUDA toolkit is ("nvvm", "nvJitLink"): in a wheel, or in an installed toolkit; None where neither has it."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib
        return os.path.realpath(load_nvidia_dynamic_lib(name).abs_path)
    except (ImportError, RuntimeError, OSError):
        return None


@cache
def versions() -> dict[str, str]:
    """All that decides which machine code a kernel becomes, by name: part of the key of the cubin cache."""
    found = {"python": ".".join(map(str, sys.version_info[:2])), "llvmlite": version_of("llvmlite") or ""}
    found |= {package: version_of(package) or "" for package in REQUIRED}
    for package, library in LIBRARIES.items():
        path = version_of(package) or library_path(library)
        found[package] = path or ""
    return found


def missing_packages() -> list[str]:
    """What has to be installed before a kernel can be compiled."""
    absent = [package for package in REQUIRED if version_of(package) is None]
    return absent or [package for package, library in LIBRARIES.items() if version_of(package) is None and library_path(library) is None]


def obstacles(machine: Machine | None = None, missing: list[str] | None = None) -> list[str]:
    """Everything that keeps this machine from running kernels on a GPU, each with what to do about it; empty where nothing does."""
    machine = look() if machine is None else machine
    missing = missing_packages() if missing is None else missing
    found = [problem for problem in [_of_the_machine(machine)] if problem]
    return [*found, not_installed(missing)] if missing else found


def not_installed(packages: list[str]) -> str:
    """That these packages are missing, and what to do."""
    first, last = ", ".join(packages[:-1]), packages[-1]
    return f"{f'{first} and {last} are' if first else f'{last} is'} not installed; {INSTALL}"


def _of_the_machine(machine: Machine) -> str | None:
    if machine.driver is None:
        return f"there is no NVIDIA driver on this machine ({DRIVER_LIBRARY} is not found): install the driver of your GPU, 580 or newer"
    if machine.status == _NO_DEVICE or not (machine.status or machine.gpus):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return "the NVIDIA driver finds no GPU" + ("" if visible is None else f"; CUDA_VISIBLE_DEVICES={visible!r} may hide it")
    if machine.status:
        return f"the NVIDIA driver does not start (cuInit answers {machine.status}): see that nvidia-smi works"
    if machine.driver < LEAST_DRIVER:
        return f"the NVIDIA driver knows CUDA {dotted(machine.driver)}, and 13.0 is needed: install driver 580 or newer"
    if machine.gpus[0].architecture < LEAST_ARCHITECTURE:
        first = machine.gpus[0]
        return f"{first.name} is sm_{first.architecture}; the kernels need sm_{LEAST_ARCHITECTURE} (an A100, RTX 30 or newer)"
    return None


def dotted(version: int) -> str:
    """13020 as "13.2"."""
    return f"{version // 1000}.{version % 1000 // 10}"


__all__ = ["GPU", "Machine", "look", "missing_packages", "not_installed", "obstacles", "version_of", "versions"]
