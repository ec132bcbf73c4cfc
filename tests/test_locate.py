"""A checkout finds the kernels that pip installed, or says what to do."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from tinygradconv._compiled import isa

import tinygradconv

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(isa.__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path):
    """A copy of the Python sources, laid out as in the repository, with nothing compiled."""
    for folder in ("tinygradconv", "kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    return tmp_path


def run(checkout, code, *, path=""):
    """Run code from the checkout's root. numpy is found, alone in a folder; an installed tinygradconv only through `path`."""
    alone = checkout / "packages"
    if not alone.exists():
        alone.mkdir()
        for found in Path(numpy.__file__).resolve().parent.parent.glob("numpy*"):
            (alone / found.name).symlink_to(found)
    paths = [str(alone), path] if path else [str(alone)]
    only = (f"import sys; sys.path = ['', *[p for p in sys.path if p and 'site-packages' not in p], *{paths!r}]\n"
            "sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__]\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-c", only + code], cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_without_compiled_kernels_there_is_one_error_with_the_cure(checkout):
    done = run(checkout, "import tinygradconv")
    assert done.returncode == 1
    assert "compiled kernels were not found" in done.stderr and "pip install ." in done.stderr
    assert "C compiler" in done.stderr


def test_the_checkouts_package_uses_the_installed_kernels(checkout):
    if not (INSTALLED / "_compiled").is_dir():
        pytest.skip("an editable install keeps its compiled modules in a build folder, which its own finder knows")
    code = ("import tinygradconv as t, tinygradconv.kernels as k\n"
            "from tinygradconv._compiled import isa\n"
            "print(t.__file__); print(k.__file__); print(isa.__file__); print(t.tanh(t.Tensor(0.0)).item())")
    done = run(checkout, code, path=str(INSTALLED.parent))
    package, kernels, compiled, value = done.stdout.split()
    assert Path(package).parent == checkout / "tinygradconv"
    assert Path(kernels).parent == checkout / "kernels"
    assert Path(compiled).is_relative_to(INSTALLED)
    assert value == "0.0"


def test_kernels_is_not_a_top_level_package(checkout):
    done = run(checkout, "import kernels")
    assert "import tinygradconv.kernels, not kernels" in done.stderr


def test_an_incomplete_checkout_says_so(checkout):
    shutil.rmtree(checkout / "kernels")
    assert "the checkout is incomplete" in run(checkout, "import tinygradconv").stderr


def test_importing_needs_only_numpy_and_our_own_modules():
    code = ("import sys, numpy; before = set(sys.modules); import tinygradconv\n"
            "import sysconfig; own = sysconfig.get_paths()\n"
            "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = {m for m in done.stdout.split() if not m.startswith(("_", "cython_runtime"))}
    assert modules <= {"tinygradconv", "numpy"}, modules
    assert tinygradconv.__doc__


def test_the_engine_is_compiled_while_its_sources_are_the_installed_ones(checkout):
    if not any(path.suffix in (".so", ".pyd") for path in INSTALLED.glob("autodiff.*")):
        pytest.skip("the installed package has no compiled engine")
    code = ("import tinygradconv as t, tinygradconv.tape as tape, tinygradconv.backends.cpu as cpu\n"
            "x = t.Tensor(3.0, requires_grad=True)\n"
            "(x * x).backward()\n"
            "print(tape.__file__); print(cpu.__file__); print(x.grad.item()); print((x * x).node.line)")
    for change, plain in ((None, False), ("tape.py", True), ("tape.pxd", True)):
        for path in INSTALLED.glob("*.p[yx]*"):
            shutil.copy(path, checkout / "tinygradconv" / path.name)
        shutil.copy(INSTALLED / "backends" / "cpu.py", checkout / "tinygradconv" / "backends" / "cpu.py")
        if change:
            with (checkout / "tinygradconv" / change).open("a") as file:
                file.write("\n")
        done = run(checkout, code, path=str(INSTALLED.parent))
        tape, cpu, value, line = done.stdout.split()
        assert tape.endswith(".py") is plain and cpu.endswith(".py") is plain, done.stdout
        assert (value, line) == ("6.0", "<string>:6")
