"""The cubins on disk: what makes another name, files that are damaged, processes that write at once."""
from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tinygradconv.kernels.cuda.language import cuda, device, float32, float64, kernel

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)
from tinygradconv.backends.cuda import cache
from tinygradconv.backends.cuda.report import Compiled, Report

from . import kernels

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = {"numba-cuda": "0.30.4", "nvidia-nvvm": "13.0.88"}
REPORT = Report(registers=12, stack=0, spill_stores=0, spill_loads=0, shared=512, instructions={"FFMA": 3}, disassembled=True)
CUBIN = Compiled("entry_of_it", b"\x7fELF\nany\nbytes\x00", REPORT)


def key(made, architecture="sm_90", tools=TOOLS):
    return cache.key(made, architecture, tools)


def test_a_name_is_the_same_for_the_same_and_in_every_process():
    name = key(kernels.axpy(float32))
    assert name == key(kernels.axpy(float32)) and len(name) == 64
    code = ("from tests.cuda.test_cache import *\n"
            "print(key(kernels.axpy(float32)), key(members()))")
    names = {subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
                            capture_output=True, text=True, check=True).stdout for seed in "123"}
    assert names == {f"{name} {key(members())}\n"}


def members():
    """A kernel with a set among its constants, whose order differs between processes."""
    @kernel("x: int32*", threads=32)
    def members(x):
        if x[0] in {"a", "b", "c", "d"}:
            x[0] = 1
    return members


def variant(source: str, **limits):
    """The kernel that this source of its module makes; `limits` as `kernel` takes them."""
    space = {"cuda": cuda, "device": device, "kernel": kernel, "float32": float32, "limits": {"threads": 256, **limits}}
    exec(source, space)
    return space["made"]


SOURCE = """
OFFSET = 1
def helper(x):
    return x * 2
@device
def shifted(x):
    return helper(x) + OFFSET
@kernel("x: float32*", **limits)
def made(x):
    x[cuda.grid(1)] = shifted(x[cuda.grid(1)])
"""


def test_neither_comments_nor_lines_make_another_name():
    assert key(variant(SOURCE)) == key(variant("# a comment\n\n" + SOURCE.replace("return x * 2", "return x * 2      # twice")))
    assert key(variant(SOURCE)) == key(variant("UNUSED = 7\n" + SOURCE))


@pytest.mark.parametrize(("old", "new"), [
    ("OFFSET = 1", "OFFSET = 2"), ("OFFSET = 1", "OFFSET = 1.0"), ("OFFSET = 1", "OFFSET = True"), ("OFFSET = 1", "OFFSET = (1,)"),
    ("x * 2", "x * 3"), ("x * 2", "x - 2"), ("helper(x) + OFFSET", "helper(x) - OFFSET"),
    ("helper(x) + OFFSET", "helper(helper(x)) + OFFSET"),
    ("cuda.grid(1)", "cuda.grid(2)"), ("cuda.grid(1)", "cuda.threadIdx.x"), ('"x: float32*"', '"x: float64*"')])
def test_whatever_the_kernel_uses_makes_another_name(old, new):
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE and key(variant(changed)) != key(variant(SOURCE))


def test_so_do_constants_limits_architecture_and_tools():
    names = [key(kernels.axpy(float32)), key(kernels.axpy(float64)),
             key(kernels.axpy(float32), "sm_80"), key(kernels.axpy(float32), "sm_90a"),
             key(kernels.axpy(float32), tools={**TOOLS, "nvidia-nvvm": "13.0.99"}), key(kernels.reverse(64)), key(kernels.reverse(128)),
             key(variant(SOURCE)), key(variant(SOURCE, threads=128)),
             key(variant(SOURCE, min_blocks=2)), key(variant(SOURCE, registers=32))]
    assert len(set(names)) == len(names)


def test_the_text_of_our_compiler_is_part_of_the_name(monkeypatch):
    before = key(kernels.tensor_core())
    assert "ldmatrix" in cache._compilers_text() and "def to_ptx" in cache._compilers_text()
    monkeypatch.setattr(cache, "_compilers_text", lambda: "another text")
    assert key(kernels.tensor_core()) != before


def test_what_is_stored_is_loaded(tmp_path):
    cache.store("name", CUBIN, tmp_path / "new" / "folder")
    assert cache.load("name", tmp_path / "new" / "folder") == CUBIN
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["name.cubin"]          # nothing is left beside it
    assert cache.load("other", tmp_path) is None


def test_a_kernel_is_compiled_once(tmp_path):
    compiled = []

    def compile(made, architecture):
        compiled.append((made.label, architecture))
        return CUBIN
    for _ in range(3):
        assert cache.cached(compile, kernels.axpy(float32), "sm_90", tmp_path) == CUBIN
    cache.cached(compile, kernels.axpy(float32), "sm_80", tmp_path)
    assert compiled == [("axpy[T=float32]", "sm_90"), ("axpy[T=float32]", "sm_80")]


def test_any_damage_is_seen_and_mended(tmp_path):
    cache.store("name", CUBIN, tmp_path)
    path = tmp_path / "name.cubin"
    sound = path.read_bytes()
    damaged = [sound[:end] for end in range(len(sound))]
    damaged += [sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1:] for at in range(len(sound))] + [sound + b"\x00"]
    for data in damaged:
        path.write_bytes(data)
        assert cache.load("name", tmp_path) is None
    name = cache.key(kernels.axpy(float32), "sm_90")
    (tmp_path / f"{name}.cubin").write_bytes(sound[:50])
    assert cache.cached(lambda *_: CUBIN, kernels.axpy(float32), "sm_90", tmp_path) == CUBIN == cache.load(name, tmp_path)


def test_a_file_of_another_version_is_not_taken_for_ours(tmp_path):
    cache.store("name", CUBIN, tmp_path)
    path = tmp_path / "name.cubin"
    path.write_bytes(path.read_bytes().replace(b"cubin 1 ", b"cubin 2 ", 1))
    assert cache.load("name", tmp_path) is None


def test_where_nothing_can_be_written_kernels_are_compiled_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    assert cache.cached(lambda *_: CUBIN, kernels.axpy(float32), "sm_90", tmp_path / "file" / "folder") == CUBIN


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(cache.os, "replace", full)
    cache.store("name", CUBIN, tmp_path)
    assert not list(tmp_path.iterdir())


def test_readers_and_writers_at_once_see_whole_files(tmp_path):
    cubins = [Compiled("entry", bytes([number]) * 100_000, REPORT) for number in range(4)]
    wrong = []
    cache.store("name", cubins[0], tmp_path)

    def work(mine):
        for _ in range(60):
            cache.store("name", mine, tmp_path)
            found = cache.load("name", tmp_path)
            if found is None or found not in cubins:
                wrong.append(found)
    threads = [threading.Thread(target=work, args=(cubin,)) for cubin in cubins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(list(tmp_path.iterdir())) == 1


def test_two_processes_that_compile_the_same_kernel_at_once_both_succeed(tmp_path):
    code = ("import sys, pathlib\nfrom tests.cuda.test_cache import *\n"
            "print(cache.cached(lambda *_: CUBIN, kernels.axpy(float32), 'sm_90', pathlib.Path(sys.argv[1])) == CUBIN)")
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["True\n"] * 2
    assert len(list(tmp_path.iterdir())) == 1


def test_the_folder_is_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache.folder() == Path("/elsewhere/tinygradconv/cubins")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "tinygradconv" / "cubins"
