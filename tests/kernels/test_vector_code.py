"""A build check: the hot loops of convolution and matmul still are vector loops, with every accumulator in a register.

A slow loop passes every other test; here the compiled code itself is read. The checker is tested on code that must fail.
"""
from __future__ import annotations

import importlib.util
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .vector_code import disassemble, loops

# For each instruction set: its packed operation and register, and its name in the table of kernels/vector.h.
OPERATIONS = {"v2": ("mul", "xmm", "SSE"), "v3": ("fmadd", "ymm", "AVX2"), "v4": ("fmadd", "zmm", "AVX-512")}
TABLE = re.findall(r"^ +(\S+) +(\d+) +(\d+) +(\d+) +(\d+)$", (Path(__file__).parents[2] / "kernels" / "vector.h").read_text(), re.M)
SIZES = {name: tuple(map(int, numbers)) for name, *numbers in TABLE}
# Operation, register, and rows × vectors of the two tiles.
TILES = {variant: (*how, (2 * SIZES[name][2], SIZES[name][3])) for variant, (*how, name) in OPERATIONS.items()}

pytestmark = pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump, from GNU binutils, to read compiled code")


def faults(disassembly: str, variant: str) -> list[str]:
    """What is wrong with the tiles of a module: no loop with a tile's packed operations, or vectors that go through the stack."""
    operation, register, tiles = TILES[variant]
    found, wrong = loops(disassembly), []
    for element in ("ps", "pd"):
        for count in set(tiles):
            alike = [loop for loop in found if loop.packed(operation, element, register) == count]
            if not alike:
                wrong.append(f"no loop with {count} packed {operation} {element} on {register}")
            elif all(loop.spills for loop in alike):
                wrong.append(f"every loop with {count} packed {operation} {element} on {register} keeps vectors on the stack")
    return wrong


@pytest.mark.parametrize("variant", TILES)
@pytest.mark.parametrize("idea", ["conv", "winograd", "matmul"])
def test_the_tiles_are_whole_registers_of_packed_arithmetic(idea, variant):
    spec = importlib.util.find_spec(f"tinygradconv._compiled.{idea}_{variant}")
    if spec is None:
        pytest.skip(f"this build has no {variant} variant (another processor family, or a compiler that lacks it)")
    assert not faults(disassemble(spec.origin), variant)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc to read vector.h")
@pytest.mark.parametrize("name", SIZES)
def test_the_table_is_what_is_compiled(name):
    said = {"SSE": (16, 16), "AVX2": (32, 16), "NEON": (16, 32), "AVX-512": (64, 32)}[name]
    header = Path(__file__).parents[2] / "kernels" / "vector.h"
    source = f"#include \"{header}\"\nint row[] = {{TGC_BYTES, TGC_REGISTERS, TGC_WIDE_ROWS, TGC_NARROW_ROWS}};\n"
    checks = "".join(f"_Static_assert({macro} == {number}, \"{macro}\");\n" for macro, number in zip(
        ("TGC_BYTES", "TGC_REGISTERS", "TGC_WIDE_ROWS", "TGC_NARROW_ROWS"), SIZES[name]))
    subprocess.run(["gcc", f"-DTGC_BYTES={said[0]}", f"-DTGC_REGISTERS={said[1]}", "-fsyntax-only", "-xc", "-"], input=source + checks,
                   text=True, check=True, capture_output=True)


def test_every_variant_of_this_build_is_one_that_the_check_knows():
    from tinygradconv._compiled import isa
    assert set(isa.variants()) <= {*TILES, "base"}


SCALAR = """
  10: vmovss (%rsi,%rax,1),%xmm0
  15: vfmadd231ss (%rdx,%rax,1),%xmm0,%xmm1
  1b: add    $0x4,%rax
  1f: jne    10 <f+0x10>
"""


def packed_loop(spill: bool) -> str:
    """Loops with the packed multiply-adds of the AVX2 tiles for each element type; one of each through the stack on request."""
    lines, address = [], 0x100
    for element, count in itertools.product(("ps", "pd"), (12, 13)):
        start = address
        for i in range(count):
            operand = "0x40(%rsp)" if spill and i == 0 else "%ymm13"
            lines.append(f"  {address:x}: vfmadd231{element} {operand},%ymm0,%ymm{i}")
            address += 5
        lines.append(f"  {address:x}: jne    {start:x} <f+0x0>")
        address += 2
    return "\n".join(lines)


def test_the_check_fails_on_scalar_code():
    assert [loop.arithmetic for loop in loops(SCALAR)] == [{"fmadd ss xmm": 1}]
    assert "no loop with 12 packed fmadd ps on ymm" in faults(SCALAR, "v3")


def test_the_check_fails_on_a_spilled_tile_and_passes_a_clean_one():
    assert faults(packed_loop(spill=False), "v3") == []
    assert faults(packed_loop(spill=True), "v3")[0] == "every loop with 12 packed fmadd ps on ymm keeps vectors on the stack"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc to compile a loop")
def test_the_check_fails_on_a_loop_that_the_compiler_left_scalar(tmp_path):
    source, built = tmp_path / "scalar.c", tmp_path / "scalar.so"
    source.write_text("void f(float *y, const float *x, int n) { for (int i = 1; i < n; i++) y[i] = y[i - 1] * x[i] + x[i - 1]; }")
    subprocess.run(["gcc", "-O3", "-shared", "-fPIC", str(source), "-o", str(built)], check=True)
    code = disassemble(str(built))
    assert faults(code, "v3") and faults(code, "v2")
