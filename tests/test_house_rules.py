"""Names and docstrings of the public interface."""
from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import tinygradconv as tgc

ROOT = Path(__file__).resolve().parent.parent
FILES = [p for folder in ("tinygradconv", "kernels") for p in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text())
    if tree.body:
        assert ast.get_docstring(tree), f"{path.name} has no docstring of its own"
    bare = [f"{path.name}:{node.lineno} {node.name}" for node in tree.body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and not ast.get_docstring(node)]
    assert not bare, bare


def test_public_signatures_follow_numpy():
    for name in tgc.__all__:
        value = getattr(tgc, name)
        if callable(value) and not isinstance(value, type):
            parameters = set(value.inputs if hasattr(value, "inputs") else inspect.signature(value).parameters)
            assert not parameters & {"dim", "keepdim", "input", "inplace", "ksize"}, name


def test_every_public_name_exists_and_is_documented():
    for name in tgc.__all__:
        assert inspect.getdoc(getattr(tgc, name)), name


def test_nothing_names_this_machine():
    home, tmp = str(Path.home()), "/" + "tmp/"
    for path in [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "kernels").rglob("*.pyx")]:
        text = path.read_text()
        assert home + "/" not in text and tmp not in text, path
