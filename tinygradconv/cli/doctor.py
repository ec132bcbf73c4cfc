"""tinygradconv doctor: what this machine has for computing on a GPU, what works, and what to install."""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from .arguments import integer


def add(commands: Any) -> None:
    """Its parser."""
    doctor = commands.add_parser("doctor", help="what GPU, driver and compiler are here, what works and what to install",
                                 description="What this machine has for computing on a GPU, what works, and what to install; with "
                                             "--kernels, every CUDA kernel compiled and held to the rules, for which no GPU is needed.")
    doctor.add_argument("--kernels", nargs="*", metavar="FOLDER",
                        help="compile every kernel in every configuration for sm_80 and sm_90; exit with 1 where one spills, keeps a "
                             "stack, is beyond its registers or lacks an instruction. FOLDER: only these, such as matmul")
    doctor.add_argument("--record", type=Path, metavar="FILE",
                        help="a record of configurations that kept the rules: what it holds and is unchanged is not compiled again; it is "
                             "written anew at the end")
    doctor.add_argument("--processes", type=integer(1, 256), metavar="N", help="that compile for --kernels; default: TGC_THREADS")
    doctor.set_defaults(parser=doctor, run=run)


def run(asked: argparse.Namespace) -> int:
    """Print what was found; the exit code."""
    if asked.kernels is None:
        return _machine()
    return _kernels(asked)


def _machine() -> int:
    from tinygradconv.backends.cpu import instruction_set
    from tinygradconv.backends.cuda import survey, toolchain
    from tinygradconv.settings import get
    machine = toolchain.look()
    lines = [("GPU", f"{gpu.name}, sm_{gpu.architecture}, {gpu.multiprocessors} multiprocessors, {gpu.memory / 2**30:.1f} GiB")
             for gpu in machine.gpus] or [("GPU", "none")]
    lines.append(("driver", "none" if machine.driver is None else f"for CUDA {toolchain.dotted(machine.driver)}"))
    lines += [(package, toolchain.version_of(package) or "not installed") for package in toolchain.REQUIRED]
    for package, library in toolchain.LIBRARIES.items():
        lines.append((package, toolchain.version_of(package) or toolchain.library_path(library) or "not installed, nor in a CUDA toolkit"))
    lines.append(("CPU", f"kernels for {instruction_set()}, {get('threads')} threads"))
    compiles, emulates = _compiler(), toolchain.version_of("greenlet")
    have, lacking = survey.covered(survey.folders())
    rest = f"not yet: {', '.join(lacking)}" if lacking else "which is all of them"
    obstacles = toolchain.obstacles(machine)
    lines += [("", ""), ("on the CPU", "works"),
              ("CUDA kernels", f"{len(have)}, {rest}"),
              ("… compile", compiles),
              ("… run in the emulator", "works" if emulates else "no: greenlet is not installed: pip install greenlet"),
              ("… run on the GPU", f"no: {obstacles[0]}" if obstacles else _gpu())]
    lines += [("", obstacle) for obstacle in obstacles[1:]]
    for name, found in lines:
        print(f"{name.ljust(max(len(name) for name, _ in lines))}  {found}".rstrip())
    return 0


def _compiler() -> str:
    """Whether the compiler works, tried on a kernel of one line."""
    from tinygradconv.backends.cuda import survey, toolchain
    missing = toolchain.missing_packages()
    if missing:
        return f"no: {toolchain.not_installed(missing)}"
    began = time.perf_counter()
    try:
        survey.trial()
    except Exception as problem:              # whatever a mixture of versions does wrong is what this is for
        return f"no: {' '.join(str(problem).split())}"
    return f"works (tried in {time.perf_counter() - began:.1f} s)"


def _gpu() -> str:
    """Whether the GPU computes, tried on one sum there and back."""
    from tinygradconv.tensor import Tensor
    began = time.perf_counter()
    try:
        found = (Tensor([1.0, 2.0]).to("cuda") + 1).tolist()
    except Exception as problem:              # as above: a driver and packages that do not fit together
        return f"no: {' '.join(str(problem).split())}"
    return f"works (tried in {time.perf_counter() - began:.1f} s)" if found == [2.0, 3.0] else f"no: 1 + 1 and 2 + 1 are {found} there"


def _kernels(asked: argparse.Namespace) -> int:
    from tinygradconv.backends.cuda import record, sass, survey
    from tinygradconv.backends.cuda.compiler import ARCHITECTURES
    from tinygradconv.interop.files import write_whole
    from tinygradconv.settings import get
    there = survey.folders()
    unknown = [name for name in asked.kernels if name not in there]
    if unknown:
        raise ValueError(f"kernels/{unknown[0]} has no cuda.py; these have: {', '.join(there)}")
    within = tuple(asked.kernels or there)
    total = survey.configurations(within)
    width = max((len(name) for name, _ in total), default=0)
    print(f"{'configuration'.ljust(width)}  GPU    registers  shared  spills")
    rows, broken, spills = 0, 0, 0
    before = record.parsed(asked.record.read_text(), str(asked.record)) if asked.record and asked.record.exists() else {}
    checked = dict(before) if asked.kernels else {}              # of a part, the record of the others is kept
    for row in survey.survey(within, processes=asked.processes or get("threads"), checked=before):
        report = row.report
        counts = "did not compile" if report is None else f"{report.registers:9}  {row.shared:6}  {report.spill_stores:6}"
        print(f"{row.name.ljust(width)}  {row.architecture}  {counts}", flush=True)
        for rule in row.broken:
            print(f"    {rule}", flush=True)
        if row.digest is not None:
            checked[row.digest] = report.registers, report.shared
        rows += 1
        broken += bool(row.broken)
        spills += report is not None and report.spill_stores + report.spill_loads > 0
    have, lacking = survey.covered(within)
    if not asked.kernels and lacking:
        print(f"not for CUDA yet: {', '.join(lacking)}")
    if sass.disassembler() is None:
        print("without nvdisasm instructions were looked for in the PTX, not in the machine code: pip install nvidia-cuda-nvdisasm")
    if asked.record:
        print(f"{asked.record}: {len(checked.keys() - before.keys())} of {rows} are new")
        write_whole(asked.record, record.written(checked).encode())
    if broken:
        print(f"{broken} of {rows} break a rule")
    print(f"{len(have)} kernels, {len(total)} configurations, {' '.join(ARCHITECTURES)}, {spills} spills")
    return 1 if broken else 0
