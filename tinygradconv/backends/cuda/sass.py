"""Which machine instructions a compiled kernel consists of.

ptxas may remove or replace what the PTX says, so the proof that a kernel runs on the tensor cores is the machine code (SASS). NVIDIA's
nvdisasm reads it (the wheel nvidia-cuda-nvdisasm, or a CUDA toolkit); without it the PTX is the next best witness.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

from .report import Compiled, Report

# The machine's word for what PTX calls otherwise.
FAMILIES = {"HMMA": r"mma\.sync", "HGMMA": r"wgmma\.mma_async", "LDSM": r"ldmatrix", "LDGSTS": r"cp\.async\.c[ag]", "SHFL": r"shfl\.sync",
            "VOTE": r"vote\.sync", "BAR": r"bar(?:rier)?\.sync", "FFMA": r"fma\.rn\.f32", "DFMA": r"fma\.rn\.f64",
            "LDG": r"ld\.global", "STG": r"st\.global", "LDS": r"ld\.shared", "STS": r"st\.shared",
            "LDL": r"ld\.local", "STL": r"st\.local"}
_IN_PTX = {name: re.compile(rf"\b{pattern}") for name, pattern in FAMILIES.items()}
_IN_SASS = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", re.M)


def counted_in_ptx(ptx: str) -> dict[str, int]:
    """How often each family of instructions occurs in PTX, by its name in the machine code; those that do not are left out."""
    counts = {name: len(pattern.findall(ptx)) for name, pattern in _IN_PTX.items()}
    return {name: count for name, count in counts.items() if count}


def counted_in_listing(listing: str) -> dict[str, int]:
    """How often each instruction occurs in what nvdisasm prints."""
    return dict(Counter(_IN_SASS.findall(listing)))


@cache
def disassembler() -> str | None:
    """The path of nvdisasm: of the wheel, or on PATH; None where there is none."""
    wheel = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cu13" / "bin" / "nvdisasm"
    return str(wheel) if wheel.is_file() else shutil.which("nvdisasm")


def disassembled(compiled: Compiled) -> Report:
    """The report with the instructions of the machine code; as it is where there is no disassembler."""
    program = disassembler()
    if program is None:
        return compiled.report
    handle, name = tempfile.mkstemp(suffix=".cubin")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(compiled.cubin)
        listing = subprocess.run([program, "-c", name], capture_output=True, text=True, check=True).stdout
    finally:
        os.unlink(name)
    return replace(compiled.report, instructions=counted_in_listing(listing), disassembled=True)


__all__ = ["counted_in_listing", "counted_in_ptx", "disassembled", "disassembler"]
