"""What the doctor says of a machine, and of kernels that break a rule; why a tensor cannot go to the GPU."""
from __future__ import annotations

import re

import numpy as np
import pytest
from tinygradconv.kernels import KERNELS
from tinygradconv.kernels.cuda.language import float32, float64, kernel

import tinygradconv as tgc
from tinygradconv import cli
from tinygradconv.backends.cuda import cache, record, sass, survey, toolchain
from tinygradconv.backends.cuda.report import Compiled, Report
from tinygradconv.backends.cuda.toolchain import GPU, Machine, obstacles

from . import kernels

H100 = GPU("NVIDIA H100", 90, 132, 80 << 30)
NO_DRIVER = r"there is no NVIDIA driver on this machine \(\S+ is not found\): install the driver of your GPU, 580 or newer"


@pytest.mark.parametrize(("machine", "said"), [
    (Machine(None), NO_DRIVER), (Machine(13000, 100), "the NVIDIA driver finds no GPU"),
    (Machine(13000, 0), "the NVIDIA driver finds no GPU"),
    (Machine(13000, 999), r"the NVIDIA driver does not start \(cuInit answers 999\): see that nvidia-smi works"),
    (Machine(12080, 0, (H100,)), "the NVIDIA driver knows CUDA 12.8, and 13.0 is needed: install driver 580 or newer"),
    (Machine(13000, 0, (GPU("Tesla T4", 75, 40, 16 << 30),)), r"Tesla T4 is sm_75; the kernels need sm_80 \(an A100, RTX 30 or newer\)")])
def test_what_keeps_a_machine_from_computing_is_said_with_its_cure(machine, said, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = obstacles(machine, [])
    assert len(found) == 1 and re.fullmatch(said, found[0])


def test_a_gpu_may_be_hidden_by_a_variable(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert obstacles(Machine(13000, 100), []) == ["the NVIDIA driver finds no GPU; CUDA_VISIBLE_DEVICES='' may hide it"]


def test_packages_that_are_missing_are_named():
    cure = "not installed; in the repository's root run: pip install '.[cuda]'"
    assert obstacles(Machine(13020, 0, (H100,)), ["cuda-core"]) == [f"cuda-core is {cure}"]
    assert obstacles(Machine(13020, 0, (H100,)), ["numba", "numba-cuda", "cuda-core"]) == [f"numba, numba-cuda and cuda-core are {cure}"]
    assert len(obstacles(Machine(None), ["numba"])) == 2 and obstacles(Machine(13000, 0, (H100,)), []) == []


def test_a_library_may_come_with_a_toolkit_instead_of_a_wheel(monkeypatch):
    monkeypatch.setattr(toolchain, "version_of", lambda package: None if package.startswith("nvidia-") else "1.0")
    monkeypatch.setattr(toolchain, "library_path", lambda name: "/usr/local/cuda/lib64/lib.so" if name == "nvvm" else None)
    assert toolchain.missing_packages() == ["nvidia-nvjitlink"]
    monkeypatch.setattr(toolchain, "version_of", lambda package: None)
    assert toolchain.missing_packages() == ["numba", "numba-cuda", "cuda-core", "cuda-bindings"]


def test_to_cuda_says_exactly_why_not(monkeypatch):
    monkeypatch.setattr(toolchain, "look", lambda: Machine(None))
    monkeypatch.setattr(toolchain, "missing_packages", lambda: ["numba-cuda", "cuda-core"])
    with pytest.raises(RuntimeError) as refused:
        tgc.zeros(3).to("cuda")
    assert re.fullmatch(rf"to\('cuda'\): {NO_DRIVER}; numba-cuda and cuda-core are not installed; in the repository's root run: "
                        r"pip install '\.\[cuda\]'\. Tensors stay on 'cpu'; `tinygradconv doctor` says what this machine has",
                        str(refused.value))


def said_by(capsys, *arguments):
    code = cli.main(["doctor", *arguments])
    text = capsys.readouterr()
    assert not text.err
    return code, text.out


def test_the_doctor_describes_a_machine_without_a_gpu(capsys, monkeypatch):
    monkeypatch.setattr(toolchain, "look", lambda: Machine(None))
    monkeypatch.setattr(toolchain, "missing_packages", lambda: ["numba-cuda"])
    code, said = said_by(capsys)
    assert code == 0 and re.search(r"^GPU +none\ndriver +none\nnumba ", said)
    assert re.search(r"^CUDA kernels +\d+, (which is all of them|not yet: \w)", said, re.M)
    assert re.search(r"^… compile +no: numba-cuda is not installed; in the repository's root run: pip install ", said, re.M)
    assert re.search(rf"^… run on the GPU +no: {NO_DRIVER}\n +numba-cuda is not installed; .*$", said, re.M)


def test_the_doctor_describes_a_machine_with_one(capsys, monkeypatch, gpu):
    monkeypatch.setattr(toolchain, "look", lambda: Machine(13020, 0, (H100, H100)))
    monkeypatch.setattr(toolchain, "missing_packages", lambda: [])
    monkeypatch.setattr(survey, "trial", lambda: None)
    code, said = said_by(capsys)
    assert code == 0 and len(re.findall(r"^GPU +NVIDIA H100, sm_90, 132 multiprocessors, 80.0 GiB$", said, re.M)) == 2
    assert re.search(r"^driver +for CUDA 13\.2$", said, re.M) and re.search(r"^… compile +works \(tried in ", said, re.M)
    assert re.search(r"^… run on the GPU +works \(tried in ", said, re.M) and gpu.ran == ["binary"]


def test_the_doctor_says_why_a_gpu_does_not_compute(capsys, monkeypatch, gpu):
    monkeypatch.setattr(toolchain, "look", lambda: Machine(13020, 0, (H100,)))
    monkeypatch.setattr(toolchain, "missing_packages", lambda: [])
    monkeypatch.setattr(survey, "trial", lambda: None)
    gpu.driver.fails.append(("allocate", "CUDA_ERROR_SYSTEM_NOT_READY"))
    assert re.search(r"^… run on the GPU +no: allocate: CUDA_ERROR_SYSTEM_NOT_READY$", said_by(capsys)[1], re.M)
    monkeypatch.setattr(gpu, "to_numpy", lambda array: np.zeros(array.shape, array.dtype))
    assert re.search(r"^… run on the GPU +no: 1 \+ 1 and 2 \+ 1 are \[0.0, 0.0\] there$", said_by(capsys)[1], re.M)


def test_the_doctor_says_what_the_compiler_says(capsys, monkeypatch):
    def trial():
        raise RuntimeError("Unsupported .version 9.5;\n current version is '9.0'")
    monkeypatch.setattr(toolchain, "missing_packages", lambda: [])
    monkeypatch.setattr(survey, "trial", trial)
    assert re.search(r"^… compile +no: Unsupported .version 9.5; current version is '9.0'$", said_by(capsys)[1], re.M)


# doctor --kernels

class Folder:
    """Stands for a kernels/<folder>/cuda.py."""

    def __init__(self, *configured):
        self.configured, self.softmax = configured, None

    def configurations(self):
        return list(self.configured)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Makes kernels/softmax/cuda.py consist of these configurations; cubins are kept in a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def make(*configured):
        monkeypatch.setattr(survey, "folders", lambda: ("softmax",))
        monkeypatch.setattr(survey, "_module", lambda name: Folder(*configured))
        survey.configurations.cache_clear()
    yield make
    survey.configurations.cache_clear()


def reports(monkeypatch, **by_name):
    """Kernels of these names compile to these reports; all others to a sound one."""
    compiled = []

    def compile(made, architecture):
        compiled.append((made.name, architecture))
        found = by_name.get(made.name, Report(16, 0, 0, 0, 1024))
        if isinstance(found, Exception):
            raise found
        return Compiled(made.name, b"cubin", found)
    monkeypatch.setattr(survey, "compile", compile)
    return compiled


def test_every_configuration_is_a_row_for_each_architecture(folder, monkeypatch, capsys):
    folder((kernels.axpy, (float32,)), (kernels.axpy, (float64,)), (kernels.reverse, (64,)))
    compiled = reports(monkeypatch)
    code, said = said_by(capsys, "--kernels", "--processes", "1")
    lines = said.splitlines()
    assert code == 0 and lines[-1] == "1 kernels, 3 configurations, sm_80 sm_90, 0 spills"
    assert [line.split("  ")[0] for line in lines[1:7]] == [name for name in ("softmax.axpy(float32)", "softmax.axpy(float64)",
                                                                              "softmax.reverse(64)") for _ in range(2)]
    assert re.search(r"^softmax.reverse\(64\) +sm_90 +16 +1024 +0$", said, re.M)
    assert len(compiled) == 6
    said_by(capsys, "--kernels", "--processes", "1")
    assert len(compiled) == 6                                          # the second time nothing is compiled


def test_a_kernel_of_one_gpu_alone_is_compiled_for_it_alone(folder, monkeypatch, capsys):
    def alone():
        return kernel("n: int32", threads=128, only="sm_90a", shared=4096)(lambda n: None)
    folder((alone, ()), (kernels.reverse, (64,)))
    compiled = reports(monkeypatch)
    code, said = said_by(capsys, "--kernels", "--processes", "1")
    assert code == 0 and [architecture for _, architecture in compiled] == ["sm_90a", "sm_80", "sm_90"]
    assert re.search(r"^softmax.alone\(\) +sm_90a +16 +5120 +0$", said, re.M)                 # 1024 of its own, and 4096 of a launch
    assert list(survey.survey(("softmax",), ("sm_80",)))[0].name == "softmax.reverse(64)"


def test_a_broken_rule_is_said_and_exits_with_1(folder, monkeypatch, capsys):
    folder((kernels.axpy, (float32,)), (kernels.reverse, (64,)))
    reports(monkeypatch, reverse=Report(16, 8, 4, 4, 256))
    code, said = said_by(capsys, "--kernels", "--processes", "1")
    assert code == 1 and said.splitlines()[-2:] == ["2 of 4 break a rule", "1 kernels, 2 configurations, sm_80 sm_90, 2 spills"]
    assert said.count("    spills 4 bytes to memory and reads 4 back\n    keeps 8 bytes on the stack") == 2


def test_a_kernel_that_does_not_compile_is_a_row_and_the_others_go_on(folder, monkeypatch, capsys):
    folder((kernels.misspelt, ()), (kernels.reverse, (64,)))
    reports(monkeypatch, misspelt=RuntimeError("misspelt does not\n compile: no w"))
    code, said = said_by(capsys, "--kernels", "--processes", "1")
    assert code == 1 and re.search(r"sm_80  did not compile\n    misspelt does not compile: no w\n", said)
    assert said.splitlines()[-1] == "1 kernels, 2 configurations, sm_80 sm_90, 0 spills"


def test_what_a_kernel_requires_is_looked_for_in_the_machine_code_once(folder, monkeypatch, capsys):
    folder((kernels.tensor_core, ()))
    reports(monkeypatch, tensor_core=Report(16, 0, 0, 0, 0, {"HMMA": 1}))
    read = []

    def disassembled(compiled):
        read.append(compiled.entry)
        return Report(16, 0, 0, 0, 0, {"HMMA.1688.F32.TF32" if len(read) < 3 else "FFMA": 1}, True)
    monkeypatch.setattr(survey, "disassembler", lambda: "nvdisasm")
    monkeypatch.setattr(survey, "disassembled", disassembled)
    for _ in range(2):
        assert said_by(capsys, "--kernels", "--processes", "1")[0] == 0
    assert read == ["tensor_core"] * 2
    for path in cache.folder().iterdir():
        path.unlink()
    code, said = said_by(capsys, "--kernels", "--processes", "1")
    assert code == 1 and said.count("    has no HMMA.1688.F32.TF32 instruction\n") == 2


def test_without_a_disassembler_the_doctor_says_what_it_looked_at(folder, monkeypatch, capsys):
    folder((kernels.tensor_core, ()))
    reports(monkeypatch, tensor_core=Report(16, 0, 0, 0, 0, {"HMMA": 1}))
    for module in (survey, sass):
        monkeypatch.setattr(module, "disassembler", lambda: None)
    code, said = said_by(capsys, "--kernels")
    assert code == 0 and "instructions were looked for in the PTX, not in the machine code: pip install nvidia-cuda-nvdisasm" in said


def test_what_a_record_holds_is_not_compiled_again_on_a_machine_with_an_empty_cache(folder, monkeypatch, capsys, tmp_path):
    folder((kernels.axpy, (float32,)), (kernels.reverse, (64,)))
    compiled, kept = reports(monkeypatch, reverse=Report(24, 0, 0, 0, 256)), tmp_path / "kernels.txt"
    asked = ("--kernels", "--processes", "1", "--record", str(kept))
    code, said = said_by(capsys, *asked)
    assert code == 0 and len(compiled) == 4 and said.splitlines()[-2].endswith("4 of 4 are new")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    again = said_by(capsys, *asked)[1]
    assert len(compiled) == 4 and again == said.replace("4 of 4", "0 of 4")
    folder((kernels.axpy, (float64,)), (kernels.reverse, (64,)))
    assert said_by(capsys, *asked)[1].splitlines()[-2].endswith("2 of 4 are new")
    assert compiled[4:] == [("axpy", "sm_80"), ("axpy", "sm_90")] and len(kept.read_text().splitlines()) == 4


def test_a_rule_that_changes_makes_what_is_recorded_worth_nothing(folder, monkeypatch, capsys, tmp_path):
    folder((kernels.reverse, (64,)))
    compiled, asked = reports(monkeypatch), ("--kernels", "--processes", "1", "--record", str(tmp_path / "kernels.txt"))
    said_by(capsys, *asked)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    monkeypatch.setattr(record, "_rules", lambda: "another")
    said_by(capsys, *asked)
    assert len(compiled) == 4


def test_what_breaks_a_rule_is_not_recorded(folder, monkeypatch, capsys, tmp_path):
    folder((kernels.axpy, (float32,)), (kernels.reverse, (64,)))
    reports(monkeypatch, reverse=Report(16, 8, 4, 4, 256))
    asked = ("--kernels", "--processes", "1", "--record", str(tmp_path / "kernels.txt"))
    for new in (2, 0):
        code, said = said_by(capsys, *asked)
        assert code == 1 and f"{new} of 4 are new\n2 of 4 break a rule" in said


def test_a_record_of_a_part_keeps_that_of_the_others(folder, monkeypatch, capsys, tmp_path):
    folder((kernels.reverse, (64,)))
    reports(monkeypatch)
    kept = tmp_path / "kernels.txt"
    kept.write_text(f"{'0' * 32} 8 0\n")
    said_by(capsys, "--kernels", "softmax", "--processes", "1", "--record", str(kept))
    assert len(kept.read_text().splitlines()) == 3 and kept.read_text().startswith("0" * 32)
    said_by(capsys, "--kernels", "--processes", "1", "--record", str(kept))
    assert len(kept.read_text().splitlines()) == 2


@pytest.mark.parametrize("line", ["", "0 1 2", f"{'0' * 32} 8", f"{'0' * 32} 8 -1", f"{'0' * 32} 8 0 0"])
def test_a_file_that_is_no_record_is_refused(capsys, tmp_path, line):
    kept = tmp_path / "kernels.txt"
    kept.write_text(f"{'1' * 32} 8 0\n{line}\n")
    assert cli.main(["doctor", "--kernels", "--record", str(kept)]) == 1
    assert f"{kept}, line 2: a record of kernels has a digest, registers and bytes, here is {line!r}" in capsys.readouterr().err


def test_a_folder_without_kernels_for_cuda_is_refused(folder, capsys):
    folder((kernels.axpy, (float32,)))
    assert cli.main(["doctor", "--kernels", "softmax", "nothing"]) == 1
    assert capsys.readouterr().err == "tinygradconv: kernels/nothing has no cuda.py; these have: softmax\n"


def test_what_the_manifest_has_and_cuda_has_not_is_listed(folder, monkeypatch, capsys):
    folder((kernels.axpy, (float32,)))
    reports(monkeypatch)
    have, lacking = survey.covered(("softmax",))
    assert have == ["softmax"] and "matmul" in lacking and "winograd_forward" not in lacking and set(lacking) < set(KERNELS)
    assert f"not for CUDA yet: {', '.join(lacking)}" in said_by(capsys, "--kernels")[1]
    assert "not for CUDA yet" not in said_by(capsys, "--kernels", "softmax")[1]


def test_every_cuda_file_of_the_manifest_can_be_listed_without_a_compiler():
    for name, made in survey.configurations(survey.folders()):
        assert made.parameters and name.split(".")[0] in {row.folder for row in KERNELS.values()}
    assert all(callable(getattr(survey._module(KERNELS[name].folder), name)) for name in survey.covered(survey.folders())[0])


def test_several_processes_find_what_one_finds(monkeypatch, tmp_path):
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install '.[cuda]'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    within = survey.folders()[:1]
    some = survey.configurations(within)[:2]
    monkeypatch.setattr(survey, "configurations", lambda _: some)
    several = list(survey.survey(within, processes=2))
    assert len(several) == 4 and several == list(survey.survey(within)) and all(row.report is not None for row in several)
