"""Every kernel of the manifest exists in each language with the same argument names, and has a test."""
from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest
from tinygradconv.kernels import KERNELS

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", KERNELS)
def test_the_reference_has_the_manifests_arguments(name):
    row = KERNELS[name]
    module = importlib.import_module(f"tinygradconv.kernels.{row.folder}.reference")
    function = getattr(module, name)
    assert tuple(inspect.signature(function).parameters) == row.arguments
    assert function.__doc__, f"{name} needs a docstring: the formula first"
    if "workspace" in row.arguments:
        assert tuple(inspect.signature(getattr(module, name + "_workspace")).parameters) == ("geo", "itemsize")


@pytest.mark.parametrize("name", [name for name, row in KERNELS.items() if row.cpu])
def test_the_cython_form_has_the_manifests_arguments(name):
    row = KERNELS[name]
    source = "".join(path.read_text() for path in sorted((ROOT / "kernels" / row.folder).glob("*.p*x*")))
    found = re.search(rf"^def {name}\((.*?)\):", source, re.M | re.S)
    assert found, f"{name} is marked cpu but kernels/{row.folder}/ has no def of it"
    depth_free = re.sub(r"\[[^]]*\]", "", found[1])
    assert tuple(argument.split()[-1] for argument in depth_free.split(",")) == tuple(
        "packed" if argument == row.packs and not row.unpacked else argument for argument in row.arguments)
    for helper in ("pack", "packed_bytes") if row.packs else ():
        assert re.search(rf"^def {name}_{helper}\(", source, re.M), f"kernels/{row.folder}/ has no {name}_{helper}"


def cuda_forms():
    """(name, module) of every kernel that has a CUDA form."""
    folders = sorted({row.folder for row in KERNELS.values() if (ROOT / "kernels" / row.folder / "cuda.py").is_file()})
    for module in (importlib.import_module(f"tinygradconv.kernels.{folder}.cuda") for folder in folders):
        assert callable(module.configurations), f"{module.__name__} has no configurations(): what is compiled?"
        for name, row in KERNELS.items():
            if module.__name__.split(".")[-2] == row.folder and hasattr(module, name):
                yield name, module


@pytest.mark.parametrize("name, module", list(cuda_forms()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_cuda_form_has_the_manifests_arguments(name, module):
    function = getattr(module, name)
    assert tuple(inspect.signature(function).parameters) == ("device", *KERNELS[name].arguments, *KERNELS[name].also)
    assert function.__doc__.startswith(f"reference.{name}. "), "say which definition it is, then what a thread owns"


def test_what_is_packed_or_replaced_exists():
    for name, row in KERNELS.items():
        assert row.packs is None or (row.cpu and row.packs in row.arguments), name
        assert row.unpacked == 0 or row.packs is not None, name
        if row.instead_of is not None:
            assert KERNELS[row.instead_of].arguments == row.arguments and KERNELS[row.instead_of].fills == row.fills, name


@pytest.mark.parametrize("name", [name for name, row in KERNELS.items() if row.instead_of is None])
def test_every_kernel_is_run(name):
    sources = [p.read_text() for folder in ("ops", "train", "data") for p in (ROOT / "tinygradconv" / folder).rglob("*.py")]
    assert any(f'run("{name}"' in source for source in sources), f"nothing runs {name}: use it or delete it"


def test_what_a_kernel_fills_are_its_arguments():
    for name, row in KERNELS.items():
        assert set(row.fills) <= set(row.arguments), name
