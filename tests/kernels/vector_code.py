"""Read the hot loops of a compiled module from its disassembly: which arithmetic they do, on which registers, and what they spill.

An innermost loop is a backward jump with no other backward jump between its target and itself. Symbols are not needed, so a
stripped module can be read as well.
"""
from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass

INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(?:\(bad\)|([a-z][a-z0-9.]*)\s*(.*))$")
ARITHMETIC = re.compile(r"^v?(fn?m(?:add|sub)\d*|mul|add)[ps][sd]$")


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its arithmetic as {"fmadd ps ymm": 12, …}, and how many vector registers it stores to or loads from the stack."""

    start: int
    end: int
    arithmetic: Counter
    spills: int

    def packed(self, operation: str, element: str, register: str) -> int:
        """How many packed instructions of this kind: ("fmadd", "ps", "ymm")."""
        return self.arithmetic[f"{operation} {element} {register}"]


def loops(disassembly: str) -> list[Loop]:
    """The innermost loops of x86 code as `objdump -d --no-show-raw-insn` prints it."""
    code = [(int(match[1], 16), match[2] or "", match[3] or "") for match in map(INSTRUCTION.match, disassembly.splitlines()) if match]
    at = {address: i for i, (address, _, _) in enumerate(code)}
    found, last_start = [], -1
    for i, (_, name, operands) in enumerate(code):
        target = re.match(r"([0-9a-f]+)\b", operands) if name.startswith("j") else None
        start = at.get(int(target[1], 16), len(code)) if target else len(code)
        if start <= i and start > last_start:
            last_start = start
            found.append(_loop(code[start:i + 1]))
    return found


def _loop(body: list[tuple[int, str, str]]) -> Loop:
    arithmetic, spills = Counter(), 0
    for _, name, operands in body:
        register = re.search(r"%([xyz]mm)\d", operands)
        match = ARITHMETIC.match(name)
        if match and register:
            kind = "fmadd" if match[1].startswith("f") else match[1]
            arithmetic[f"{kind} {name[-2:]} {register[1]}"] += 1
        if register and re.search(r"\(%r[sb]p", operands):
            spills += 1
    return Loop(body[0][0], body[-1][0], arithmetic, spills)


def disassemble(path: str) -> str:
    """What objdump prints of a compiled module."""
    return subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
