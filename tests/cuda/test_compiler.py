"""The compiler of kernels and the rules that its reports are held to: on real kernels, for GPUs that are not here."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from tinygradconv.kernels.cuda.language import CudaKernel, float32, float64, kernel

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)
from tinygradconv.backends.cuda import compiler
from tinygradconv.backends.cuda.compiler import ARCHITECTURES, compile, to_ptx
from tinygradconv.backends.cuda.report import Compiled, Report, broken_rules, register_budget
from tinygradconv.backends.cuda.sass import counted_in_listing, counted_in_ptx, disassembled, disassembler

from . import kernels

SOUND = Report(registers=32, stack=0, spill_stores=0, spill_loads=0, shared=1024, instructions={"FFMA": 8})


@pytest.fixture(scope="module")
def numba():
    """The compiler's packages."""
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install '.[cuda]'")
    pytest.importorskip("cuda.core", reason="needs cuda-core: pip install '.[cuda]'")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("T", [float32, float64], ids=str)
def test_a_kernel_becomes_machine_code_that_keeps_the_rules(numba, T, architecture):
    made = kernels.axpy(T)
    compiled = compile(made, architecture)
    assert compiled.cubin[:4] == b"\x7fELF" and "axpy" in compiled.entry and compiled.entry.encode() in compiled.cubin
    assert not broken_rules(made, compiled.report, architecture)
    assert 0 < compiled.report.registers <= 24 and compiled.report.shared == 0


def test_constants_and_device_functions_are_compiled_in(numba):
    ptx = to_ptx(kernels.axpy(float32), "sm_90")
    assert ".target sm_90\n" in ptx and "0f40400000" in ptx                            # 3.0, SCALE, in hexadecimal
    assert "call" not in re.sub(r"//.*", "", ptx)                                   # inlined
    assert "fma.rn.f64" in to_ptx(kernels.axpy(float64), "sm_80")


def test_limits_and_architecture_are_in_the_ptx(numba):
    ptx = to_ptx(kernels.spilling(8), "sm_80")
    assert ".maxntid 1024" in ptx and ".minnctapersm 2" in ptx and ".target sm_80" in ptx


def test_shared_memory_is_reported(numba):
    made = kernels.reverse(128)
    report = compile(made, "sm_90").report
    assert report.shared == 512 and report.instructions["BAR"] == 1 and not broken_rules(made, report, "sm_90")


def test_a_kernel_that_spills_is_found(numba):
    made = kernels.spilling(120)
    report = compile(made, "sm_90").report
    assert report.spill_stores > 0 and report.spill_loads > 0
    assert any(rule.startswith("spills ") for rule in broken_rules(made, report, "sm_90"))
    few = kernels.spilling(8)
    assert not broken_rules(few, compile(few, "sm_90").report, "sm_90")


def test_a_local_array_that_is_no_registers_is_found(numba):
    made = kernels.indexed()
    assert any("64 bytes on the stack" in rule for rule in broken_rules(made, compile(made, "sm_80").report, "sm_80"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tensor_cores_are_seen_in_the_machine_code(numba, architecture):
    made = kernels.tensor_core()
    compiled = compile(made, architecture)
    assert compiled.report.instructions["HMMA"] == 1 and not broken_rules(made, compiled.report, architecture)
    if disassembler() is None:
        pytest.skip("needs nvdisasm: pip install nvidia-cuda-nvdisasm")
    report = disassembled(compiled)
    assert report.disassembled and report.instructions["HMMA.1688.F32.TF32"] == 1
    assert not broken_rules(made, report, architecture)
    assert broken_rules(replace(made, requires=("HMMA.16816",)), report, architecture) == ["has no HMMA.16816 instruction"]


def test_what_numba_does_not_understand_is_said_with_the_kernels_name(numba):
    with pytest.raises(RuntimeError, match=r"(?s)^misspelt does not compile: .*'w'"):
        compile(kernels.misspelt(), "sm_90")


def test_one_ptx_is_linked_for_both_gpus(numba, monkeypatch):
    targets = []
    monkeypatch.setattr(compiler, "to_ptx", lambda made, target: targets.append(target) or to_ptx(made, target))
    cubins = {compile(kernels.reverse(64), architecture).cubin for architecture in ("sm_80", "sm_90", "sm_90a")}
    assert targets == ["sm_80", "sm_80", "sm_90a"] and len(cubins) == 3


@pytest.mark.parametrize("architecture", ["90", "sm_9", "sm_90x", "compute_90"])
def test_an_architecture_is_spelt_as_nvidia_does(numba, architecture):
    with pytest.raises(ValueError, match="architecture must be of the form 'sm_90' or 'sm_90a', got"):
        compile(kernels.axpy(float32), architecture)


def test_nothing_is_imported_before_it_is_needed():
    code = ("import sys, json, tinygradconv, tinygradconv.backends.cuda.compiler, tinygradconv.backends.cuda.cache\n"
            "print(json.dumps([name for name in ('numba', 'llvmlite', 'cuda.core', 'cuda.bindings') if name in sys.modules]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


# The rules, without a compiler.

def made(**limits) -> CudaKernel:
    return kernel("x: float32*", **{"threads": 256, **limits})(lambda x: None)


def test_a_sound_report_breaks_no_rule():
    assert broken_rules(made(), SOUND, "sm_80") == []


@pytest.mark.parametrize(("limits", "fault", "said"), [
    ({}, {"spill_stores": 4}, "spills 4 bytes to memory and reads 0 back"),
    ({}, {"spill_loads": 8}, "spills 0 bytes to memory and reads 8 back"),
    ({}, {"stack": 16}, "keeps 16 bytes on the stack: an array whose indices are no constants, or too many of them"),
    ({"registers": 31}, {}, "uses 32 registers, its budget is 31"),
    ({"min_blocks": 8}, {"registers": 33}, "uses 33 registers, its budget is 32"),
    ({"shared": 163 << 10}, {}, "needs 167936 bytes of shared memory, and a block of sm_80 has 166912"),
    ({"shared": 83 << 10, "min_blocks": 2}, {}, "needs 86016 bytes of shared memory, and a block of sm_80 has 83456"),
    ({"requires": ("HMMA", "LDSM")}, {"instructions": {"HMMA": 1}}, "has no LDSM instruction"),
    ({}, {"instructions": {"HGMMA.64x256x16.F32.BF16": 4, "WARPGROUP.DEPBAR.LE": 5}},
     "waits after each HGMMA: a call (a division of 64 bits is one), or sums that are touched in between, keep ptxas from letting them run "
     "on")])
def test_each_rule_finds_its_fault(limits, fault, said):
    assert broken_rules(made(**limits), replace(SOUND, **fault), "sm_80") == [said]


def test_an_h100_has_more_shared_memory():
    assert not broken_rules(made(shared=200 << 10), SOUND, "sm_90") and not broken_rules(made(shared=200 << 10), SOUND, "sm_90a")


@pytest.mark.parametrize(("limits", "budget"), [
    ({"threads": 256}, 255), ({"threads": 256, "min_blocks": 2}, 128), ({"threads": 1024}, 64), ({"threads": 96, "min_blocks": 6}, 112),
    ({"threads": 33, "min_blocks": 16}, 64), ({"threads": 256, "registers": 40}, 40), ({"threads": 1024, "registers": 128}, 64)])
def test_the_budget_of_registers_by_hand(limits, budget):
    assert register_budget(made(**limits)) == budget


def test_instructions_are_counted_as_they_are_printed():
    listing = ("        /*0000*/                   LDC R1, c[0x0][0x28] ;\n"
               "        /*0010*/               @!P0 HMMA.1688.F32.TF32 R4, R4, R8 ;\n"
               "        /*0020*/              @UP1 UIADD3 UR4, UR4, UR5, URZ ;\n.L_x_1:\n        /*0030*/               @P0 EXIT ;\n"
               "        /*0040*/                   EXIT ;\n")
    assert counted_in_listing(listing) == {"LDC": 1, "HMMA.1688.F32.TF32": 1, "UIADD3": 1, "EXIT": 2}
    ptx = "\tmma.sync.aligned.m16n8k8 {%f1};\n\twgmma.mma_async.sync.aligned;\n\tcp.async.cg.shared.global [%r1];\n"
    ptx += "\tcp.async.commit_group;\n"
    assert counted_in_ptx(ptx) == {"HMMA": 1, "HGMMA": 1, "LDGSTS": 1}


def test_without_a_disassembler_the_report_stays(monkeypatch):
    monkeypatch.setattr("tinygradconv.backends.cuda.sass.disassembler", lambda: None)
    assert disassembled(Compiled("k", b"", SOUND)) is SOUND
