"""What a compiled kernel needs of a GPU, and the rules that every one is held to."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tinygradconv.kernels.cuda.language import CudaKernel

REGISTERS_OF_A_MULTIPROCESSOR = 65536
MOST_REGISTERS = 255                                 # of one thread
MOST_SHARED = {"sm_80": 163 << 10, "sm_90": 227 << 10}          # of one block, in bytes


@dataclass(frozen=True)
class Report:
    """What ptxas said: registers of a thread, bytes of stack and spills, bytes of static shared memory; and which instructions there are.

    `instructions` are counted by name, in the PTX by the compiler (the families of sass.FAMILIES only), in the machine code by
    `sass.disassembled` (then `disassembled` is True, and names are whole: "HMMA.16816.F32.BF16").
    """

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int
    instructions: dict[str, int] = field(default_factory=dict)
    disassembled: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Its fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Compiled:
    """A kernel's machine code: the name of its entry, the cubin, the report."""

    entry: str
    cubin: bytes
    report: Report


def register_budget(kernel: CudaKernel) -> int:
    """The most registers that a thread may use: as the kernel says, or as many as leave `min_blocks` blocks room on a multiprocessor.

    Registers are given out in steps of 8 for each thread of a warp.
    """
    fit = REGISTERS_OF_A_MULTIPROCESSOR // (-(-kernel.threads // 32) * 32 * kernel.min_blocks) // 8 * 8
    return min(MOST_REGISTERS, fit, kernel.registers or MOST_REGISTERS)


def broken_rules(kernel: CudaKernel, report: Report, architecture: str) -> list[str]:
    """Which rules a compiled kernel breaks, in words: no spills, no stack, registers and shared memory within budget, what it requires."""
    found = []
    if report.spill_stores or report.spill_loads:
        found.append(f"spills {report.spill_stores} bytes to memory and reads {report.spill_loads} back")
    if report.stack:
        found.append(f"keeps {report.stack} bytes on the stack: an array whose indices are no constants, or too many of them")
    if report.registers > register_budget(kernel):
        found.append(f"uses {report.registers} registers, its budget is {register_budget(kernel)}")
    shared, most = report.shared + kernel.shared, MOST_SHARED[architecture.rstrip("a")] // kernel.min_blocks
    if shared > most:
        found.append(f"needs {shared} bytes of shared memory, and a block of {architecture} has {most}")
    products, waits = (sum(count for name, count in report.instructions.items() if name.startswith(word))
                       for word in ("HGMMA", "WARPGROUP.DEPBAR"))
    if products and waits >= products:
        found.append("waits after each HGMMA: a call (a division of 64 bits is one), or sums that are touched in between, keep ptxas from "
                     "letting them run on")
    wanted = kernel.requires if report.disassembled else [name.split(".")[0] for name in kernel.requires]
    found.extend(f"has no {name} instruction" for name in wanted if not any(has.startswith(name) for has in report.instructions))
    return found


__all__ = ["Compiled", "Report", "broken_rules", "register_budget"]
