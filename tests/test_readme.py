"""The README's Python blocks run, in order, in one namespace, those of the docs each in its own; the settings table is the program's."""
from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.cuda.emulated import DefinedBackend
from tinygradconv import backends
from tinygradconv.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_code_runs(capsys):
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", README, re.M | re.S)
    assert len(blocks) >= 4
    namespace: dict = {}
    for _, block in blocks:
        exec(compile(textwrap.dedent(block), "README.md", "exec"), namespace)
    assert "61,706" in capsys.readouterr().out.replace("61706", "61,706")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_the_code_of_the_docs_runs(page, capsys, monkeypatch):
    if page.name == "emulator.md":
        pytest.importorskip("greenlet")
    if page.name == "gpu.md":
        monkeypatch.setitem(backends._made, "cuda", DefinedBackend())                  # runs where there is no GPU too
    namespace: dict = {}                                                               # a page is read from its top
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        exec(compile(block, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name)
def test_the_files_that_are_named_exist(page):
    first = r"`((?:tinygradconv|kernels|tests|docs|benchmarks)/[\w./-]+)`"
    for path, others in re.findall(first + r"((?:, `[\w/]+(?:\.py|/)`)*)", page.read_text()):
        assert (ROOT / path).exists(), path
        for other in re.findall("`(.*?)`", others):                                    # named beside it: `tape.py`, `ops/conv.py`
            assert any((folder / other).exists() for folder in (ROOT, ROOT / "tinygradconv", (ROOT / path).parent)), other


def test_the_settings_table_is_complete():
    documented = set(re.findall(r"^\| `(TGC_\w+)`", README, re.M))
    assert documented == {s.variable for s in SETTINGS.values()}


def test_the_two_commands_are_one_line_each():
    for name in ("first command", "test command"):
        block = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", README, re.S)[1]
        assert block.count("\n") == 1
