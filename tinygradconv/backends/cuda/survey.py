"""Every kernel in every configuration, compiled and held to the rules, with no GPU: what `tinygradconv doctor --kernels` prints.

A folder's cuda.py lists its configurations, (template, constants) each. What is in a record of earlier checks or in the cache of cubins is
looked up; the rest is compiled by several processes, for Numba compiles one kernel at a time.
"""
from __future__ import annotations

import functools
import importlib
import importlib.util
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from tinygradconv.kernels import KERNELS
from tinygradconv.kernels.cuda.language import CudaKernel
from tinygradconv.kernels.cuda.language import kernel as make

from . import cache, record
from .compiler import ARCHITECTURES, compile
from .record import Record
from .report import Compiled, Report, broken_rules
from .sass import disassembled, disassembler


@dataclass(frozen=True)
class Row:
    """One configuration for one architecture: its report (None: it did not compile), and the rules that it breaks, in words.

    shared  bytes of shared memory of a block: the report's, and what a launch adds
    digest  its name in a record of checks (record.py); None where it breaks a rule, or where its machine code could not be looked at
    """

    name: str
    architecture: str
    report: Report | None
    broken: tuple[str, ...] = ()
    shared: int = 0
    digest: str | None = None


def folders() -> tuple[str, ...]:
    """The folders of kernels that have a cuda.py, in the manifest's order."""
    named = dict.fromkeys(row.folder for row in KERNELS.values())
    return tuple(name for name in named if importlib.util.find_spec(f"tinygradconv.kernels.{name}.cuda") is not None)


def covered(within: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(the manifest's kernels that these folders have for CUDA, all others that nothing else on CUDA computes)."""
    have = [name for name, row in KERNELS.items() if row.folder in within and hasattr(_module(row.folder), name)]
    return have, [name for name, row in KERNELS.items() if name not in have and row.instead_of is None]


@functools.cache
def configurations(within: tuple[str, ...]) -> tuple[tuple[str, CudaKernel], ...]:
    """(name, kernel) of all configurations in these folders: "matmul.product(float32, 128, …)"."""
    return tuple((f"{folder}.{template.__name__}({', '.join(map(_said, constants))})", template(*constants))
                 for folder in within for template, constants in _module(folder).configurations())


def survey(within: tuple[str, ...], architectures: tuple[str, ...] = ARCHITECTURES, *, processes: int = 1,
           checked: Record | None = None) -> Iterator[Row]:
    """A row for each configuration and architecture, in order; the processes compile what is neither in the record nor in the cache."""
    numbers = range(len(configurations(within)))
    known = {number: rows for number in numbers if (rows := _known(within, number, architectures, checked or {}))}
    missing = [number for number in numbers if number not in known]
    if len(missing) < 2 or processes == 1:
        for number in numbers:
            yield from known.get(number) or examine(within, number, architectures)
        return
    with ProcessPoolExecutor(min(processes, len(missing)), multiprocessing.get_context("spawn")) as pool:
        waiting = {number: pool.submit(examine, within, number, architectures) for number in missing}
        try:
            for number in numbers:
                yield from known.get(number) or waiting[number].result()
        finally:
            for future in waiting.values():
                future.cancel()


def examine(within: tuple[str, ...], number: int, architectures: tuple[str, ...]) -> list[Row]:
    """Compile one configuration, by its place in `configurations`, for these architectures, or find it in the cache."""
    name, kernel = configurations(within)[number]
    rows = []
    for architecture in _wanted(kernel, architectures):
        try:
            compiled = cache.cached(compile, kernel, architecture)
            if _unread(kernel, compiled.report):
                compiled = replace(compiled, report=disassembled(compiled))
                cache.store(cache.key(kernel, architecture), compiled)
            rows.append(_judged(name, kernel, architecture, compiled))
        except (RuntimeError, ImportError) as problem:
            rows.append(Row(name, architecture, None, (" ".join(str(problem).split()),)))
    return rows


def trial(architecture: str = ARCHITECTURES[-1]) -> Compiled:
    """Compile a kernel of one line, to see whether the compiler works; what it raises where it does not."""
    @make("x: float32*", threads=32)
    def twice(x):
        x[0] = x[0] + x[0]
    return compile(twice, architecture)


def _known(within: tuple[str, ...], number: int, architectures: tuple[str, ...], checked: Record) -> list[Row]:
    """The rows of a configuration where all of them are in the record or in the cache; else none."""
    name, kernel = configurations(within)[number]
    rows = []
    for architecture in _wanted(kernel, architectures):
        report = record.found(checked, kernel, architecture)
        if report is not None:
            rows.append(Row(name, architecture, report, (), report.shared + kernel.shared, record.digest(kernel, architecture)))
            continue
        compiled = cache.load(cache.key(kernel, architecture))
        if compiled is None or _unread(kernel, compiled.report):
            return []
        rows.append(_judged(name, kernel, architecture, compiled))
    return rows


def _wanted(kernel: CudaKernel, architectures: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the architectures that a kernel is for: a kernel of "sm_90a" only is compiled as such where "sm_90" is asked for."""
    if kernel.only is None:
        return architectures
    return (kernel.only,) if kernel.only in architectures or kernel.only.rstrip("a") in architectures else ()


def _unread(kernel: CudaKernel, report: Report) -> bool:
    """Whether the machine code is still to be looked at for what the kernel requires."""
    return bool(kernel.requires) and not report.disassembled and disassembler() is not None


def _judged(name: str, kernel: CudaKernel, architecture: str, compiled: Compiled) -> Row:
    report = compiled.report
    broken = tuple(broken_rules(kernel, report, architecture))
    whole = not broken and (report.disassembled or not kernel.requires)
    return Row(name, architecture, report, broken, report.shared + kernel.shared, record.digest(kernel, architecture) if whole else None)


def _said(constant: Any) -> str:
    """A constant in a name: of several ops that share a kernel, the first."""
    if isinstance(constant, tuple) and constant and isinstance(constant[0], str):
        return constant[0] + (f" and {len(constant) - 1} more" if constant[1:] else "")
    return str(constant)


def _module(folder: str) -> Any:
    return importlib.import_module(f"tinygradconv.kernels.{folder}.cuda")


__all__ = ["Row", "configurations", "covered", "examine", "folders", "survey", "trial"]
