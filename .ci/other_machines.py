"""Kernels for machines that are not at hand: compiled here, and held to the NumPy definitions on a part of the kernel tests.

    python .ci/other_machines.py aarch64    cross-compiled for 64-bit ARM (NEON), run under qemu-user
    python .ci/other_machines.py wide       the 64-byte vectors and 32 registers of AVX-512, compiled to pairs of AVX2 instructions
    python .ci/other_machines.py serial     built without OpenMP

Needs Debian's packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user-static and mmdebstrap for aarch64; meson, ninja and Cython.
Ubuntu and other systems have the packages under the same names. Everything is written to the folder given by --at, and used again.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEBIAN, PYTHON = "bookworm", "3.11"
TESTS = ["tests/kernels/test_conv.py", "tests/kernels/test_winograd.py", "tests/kernels/test_depthwise.py", "tests/kernels/test_matmul.py",
         "tests/kernels/test_pool.py", "tests/kernels/test_norm.py", "tests/kernels/test_bias.py", "tests/kernels/test_elementwise.py",
         "tests/kernels/test_reduce.py", "tests/kernels/test_softmax.py", "tests/kernels/test_update.py", "tests/kernels/test_random.py",
         "tests/kernels/test_transcendental.py", "tests/kernels/test_im2col.py"]


def run(*command: object, **options: object) -> None:
    """A command, which must succeed."""
    subprocess.run([str(part) for part in command], check=True, **options)


def c_files(at: Path) -> list[tuple[str, str, list[str]]]:
    """(idea, variant or "", compiler flags) of every extension module, whose C files lie in `at`/build afterwards."""
    build = at / "build"
    if not (build / "build.ninja").exists():
        run("meson", "setup", build, ROOT, stdout=subprocess.DEVNULL)
    commands = json.loads((build / "compile_commands.json").read_text())
    made = []
    for command in commands:
        words, source = shlex.split(command["command"]), Path(command["file"]).stem
        march = next((word for word in words if word.startswith("-march=x86-64-")), "")
        flags = [word for word in words[1:] if word.startswith(("-O", "-f", "--param", "-W", "-D", "-std"))]
        made.append((source, march.removeprefix("-march=x86-64-"), flags))
    run("ninja", "-C", build, *sorted({f"{idea}.c" for idea, _, _ in made}), stdout=subprocess.DEVNULL)
    return made


def compile_all(at: Path, site: Path, compiler: list[str], *, openmp: bool = True) -> None:
    """Every idea, in one variant called "base", for the compiler given, into `site`."""
    modules = [(idea, flags) for idea, variant, flags in c_files(at) if variant in ("", "v3")]
    out = site / "tinygradconv" / "_compiled"
    out.mkdir(parents=True, exist_ok=True)

    def build(idea: str, flags: list[str]) -> None:
        varied = any(flag.startswith("-DPyInit_") for flag in flags)
        flags = [flag for flag in flags if not flag.startswith("-DPyInit_") and (openmp or flag != "-fopenmp")]
        name = f"{idea}_base" if varied else idea
        run(*compiler, "-shared", "-fPIC", "-DTGC_BASE_ONLY", *flags, *([f"-DPyInit_{idea}=PyInit_{name}"] if varied else []),
            "-I", ROOT / "kernels", at / "build" / f"{idea}.c", "-o", out / f"{name}.so")

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for future in [pool.submit(build, *module) for module in modules]:
            future.result()
    for folder, name in ((ROOT / "tinygradconv", "tinygradconv"), (ROOT / "kernels", "tinygradconv/kernels")):
        shutil.copytree(folder, site / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.so"))


def check(python: list[object], site: Path, examples: int, chosen: list[str]) -> None:
    """The kernel tests on the modules in `site`."""
    tests = [test for test in TESTS if (ROOT / test).exists()]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}", "TGC_ISA": "base", "TGC_TEST_EXAMPLES": str(examples), "TGC_THREADS": "2"}
    run(*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=900", *chosen, *tests, cwd=ROOT, env=environment)


def aarch64(at: Path) -> None:
    """A Debian root for 64-bit ARM with Python in it, the wheels for it, the kernels cross-compiled, the tests emulated."""
    root, site = at / "arm64", at / "arm64-site"
    if not root.exists():
        run("mmdebstrap", "--quiet", "--arch=arm64", "--variant=extract", "--include=python3,python3-dev,libgomp1", DEBIAN, root)
    if not (site / "numpy").exists():
        platforms = [f"--platform=manylinux{tag}_aarch64" for tag in ("_2_28", "_2_27", "2014")]
        run(sys.executable, "-m", "pip", "install", "-q", "--target", site, *platforms, f"--python-version={PYTHON}", "--implementation=cp",
            "--only-binary=:all:", "numpy", "hypothesis", "pytest", "pytest-timeout")
    headers = ["-I", root / f"usr/include/python{PYTHON}", "-idirafter", root / "usr/include"]
    compile_all(at, site, ["aarch64-linux-gnu-gcc", *headers])
    check(["qemu-aarch64-static", "-L", root, root / f"usr/bin/python{PYTHON}"], site, 2, ["-x"])


def here(at: Path, name: str, flags: list[str], *, openmp: bool = True) -> None:
    """The kernels compiled by this machine's compiler with other flags, and this Python's tests of them."""
    include = subprocess.run([sys.executable, "-c", "import sysconfig; print(sysconfig.get_paths()['include'])"], check=True,
                             capture_output=True, text=True).stdout.strip()
    site = at / f"{name}-site"
    compile_all(at, site, ["cc", *flags, "-I", include], openmp=openmp)
    check([sys.executable], site, 5, [])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", choices=("aarch64", "wide", "serial"))
    parser.add_argument("--at", type=Path, default=ROOT / "build" / "other_machines", help="folder to work in")
    options = parser.parse_args()
    at = options.at.resolve()
    at.mkdir(parents=True, exist_ok=True)
    if options.machine == "aarch64":
        aarch64(at)
    elif options.machine == "wide":
        here(at, "wide", ["-march=x86-64-v3", "-DTGC_BYTES=64", "-DTGC_REGISTERS=32"])
    else:
        here(at, "serial", ["-march=x86-64-v3"], openmp=False)


if __name__ == "__main__":
    main()
