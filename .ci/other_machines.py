"""Kernels for machines that are not at hand: compiled here, and held to the NumPy definitions on a part of the kernel tests.

    python .ci/other_machines.py            all of them, or those that are named:

    wide       the 64-byte vectors and 32 registers of AVX-512, compiled to pairs of AVX2 instructions, and built without OpenMP
    aarch64    cross-compiled for 64-bit ARM (NEON), run under qemu-user

wide needs an x86-64 with AVX2. aarch64 needs Debian's packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user-static and
mmdebstrap. Both need a C compiler, meson, ninja and Cython. Everything is written to the folder given by --at, and used again. A folder
in which this checkout was built for x86-64 has the C files already: --build names it.
"""
from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEBIAN, PYTHON = "bookworm", "3.11"
MACHINES = ("wide", "aarch64")
# Where only the logic is in question -O1 will do, in a third of the time of -O3; -O2 vectorises too.
FLAGS = {"wide": ["-march=x86-64-v3", "-DTGC_BYTES=64", "-DTGC_REGISTERS=32", "-O1"], "aarch64": ["-O2"]}
TESTS = [f"tests/kernels/test_{idea}.py" for idea in ("conv", "winograd", "depthwise", "matmul", "pool", "norm", "bias", "elementwise",
                                                     "reduce", "softmax", "update", "random", "im2col", "warp", "normalize",
                                                     "adaptive")]
# Left out: what compares two others, what looks for x86-64 instructions; and under emulation the large shapes, which take minutes.
LEFT_OUT = {"wide": "torch or reference_is or packed_arithmetic",
            "aarch64": "torch or reference_is or packed_arithmetic or threads or divided or published or far_from_zero"}
EXAMPLES = {"wide": 5, "aarch64": 3}
# The variant is called "base"; an installed build, found in its place, would say otherwise.
START = ("import sys, pytest, tinygradconv; from tinygradconv._compiled import isa; assert isa.variants() == ['base'], isa.__file__; "
         "sys.exit(pytest.main(sys.argv[1:]))")


def run(*command: object, **options: object) -> None:
    """A command, which must succeed."""
    subprocess.run([str(part) for part in command], check=True, **options)


def c_files(build: Path, are_there: bool) -> list[tuple[Path, list[str], bool]]:
    """(C file, compiler flags, whether it is compiled once per instruction set) of the kernels' modules, the longest files first."""
    if not are_there and not (build / "build.ninja").exists():
        run("meson", "setup", build, ROOT, "-Dopenmp=enabled", "-Dvariants=v3,base", stdout=subprocess.DEVNULL)
    modules = {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        words, name = shlex.split(command["command"]), Path(command["file"]).name
        flags = [word for word in words[1:] if word.startswith(("-O", "-f", "--param", "-D", "-std"))
                 and not word.startswith(("-DPyInit_", "-fdiagnostics"))]
        if not name.startswith("engine_"):                       # the engine runs as Python
            modules[name] = build / name, flags, any(word.startswith("-DPyInit_") for word in words)
    if not are_there:
        run("ninja", "-C", build, *modules, stdout=subprocess.DEVNULL)
    return sorted(modules.values(), key=lambda module: -module[0].stat().st_size)


def debian(root: Path) -> None:
    """A Debian system for 64-bit ARM with Python in it, unpacked but not set up."""
    if not root.exists():
        packages = f"python{PYTHON},libpython{PYTHON}-dev,libgomp1,libstdc++6"
        run("mmdebstrap", "--quiet", "--arch=arm64", "--variant=extract", f"--include={packages}", DEBIAN, root)


def wheels(site: Path) -> None:
    """What the tests import, built for 64-bit ARM."""
    if not (site / "numpy").exists():
        platforms = [f"--platform=manylinux{tag}_aarch64" for tag in ("_2_28", "_2_27", "_2_17", "2014")]
        run(sys.executable, "-m", "pip", "install", "-q", "--target", site, *platforms, f"--python-version={PYTHON}", "--implementation=cp",
            "--only-binary=:all:", "numpy", "scipy", "hypothesis", "pytest", "pytest-timeout")


def compile_one(at: Path, machine: str, c_file: Path, flags: list[str], varied: bool) -> None:
    """One module for one machine."""
    idea = c_file.stem
    name, out = f"{idea}_base" if varied else idea, at / machine / "tinygradconv" / "_compiled"
    out.mkdir(parents=True, exist_ok=True)
    if machine == "aarch64":
        compiler = ["aarch64-linux-gnu-gcc", "-I", at / f"debian/usr/include/python{PYTHON}", "-idirafter", at / "debian/usr/include"]
    else:
        compiler = ["cc", "-I", sysconfig.get_path("include")]
    if machine == "wide":
        flags = [flag for flag in flags if flag != "-fopenmp"]
    run(*compiler, "-w", "-shared", "-fPIC", *flags, *FLAGS[machine], "-DTGC_BASE_ONLY", f"-DPyInit_{idea}=PyInit_{name}",
        "-I", ROOT / "kernels", c_file, "-o", out / f"{name}.so")


def check(at: Path, machine: str) -> str:
    """The kernel tests on what was compiled for a machine; how it went, or AssertionError with all that was printed."""
    site, system, begin = at / machine, at / "debian", time.monotonic()
    python = ["qemu-aarch64-static", "-L", system, system / f"usr/bin/python{PYTHON}"] if machine == "aarch64" else [sys.executable]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}", "PYTHONDONTWRITEBYTECODE": "1", "TGC_ISA": "base", "TGC_THREADS": "2",
                   "TGC_TEST_EXAMPLES": str(EXAMPLES[machine])}
    command = [*python, "-c", START, "-q", "-p", "no:cacheprovider", "-k", f"not ({LEFT_OUT[machine]})", *TESTS]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{machine}: the tests ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return f"{machine}: {done.stdout.splitlines()[-1]} (with its start {time.monotonic() - begin:.0f} s)"


def together(calls: list[tuple[Callable[..., object], tuple[object, ...]]]) -> list[object]:
    """The calls' results; as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [future.result() for future in [pool.submit(function, *arguments) for function, arguments in calls]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machines", nargs="*", metavar="machine", help=f"of {', '.join(MACHINES)}; all without one")
    parser.add_argument("--at", type=Path, default=ROOT / "build" / "other_machines", help="folder to work in")
    parser.add_argument("--build", type=Path, metavar="FOLDER", help="where the C files are; without it they are made in the other folder")
    options = parser.parse_args()
    at, machines, begin = options.at.resolve(), options.machines or list(MACHINES), time.monotonic()
    if unknown := set(machines) - set(MACHINES):
        parser.error(f"no machine is called {', '.join(sorted(unknown))}: expected {', '.join(MACHINES)}")
    at.mkdir(parents=True, exist_ok=True)
    fetched = [(debian, (at / "debian",)), (wheels, (at / "aarch64",))] if "aarch64" in machines else []
    modules, *_ = together([(c_files, (options.build or at / "build", options.build is not None)), *fetched])
    print(f"C files, and what is fetched: {time.monotonic() - begin:.0f} s", flush=True)
    together([(compile_one, (at, machine, *module)) for module in modules for machine in machines])
    print(f"compiled: {time.monotonic() - begin:.0f} s", flush=True)
    for result in together([(check, (at, machine)) for machine in reversed(machines)]):        # the emulated one takes longest
        print(result)


if __name__ == "__main__":
    main()
