"""The pictures in docs/ are what the commands and the code beside them draw; `python -m tests.spec.test_diagram_pictures` draws them."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tinygradconv import cli

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "diagrams.md"
TEXT = PAGE.read_text("utf-8")
COMMANDS = {Path(line.split()[-1]).name: shlex.split(line)[1:] for line in re.findall(r"^tinygradconv diagram .* -o .*$", TEXT, re.M)}
SHOWN = re.compile(r"```python\n((?:(?!```).)*?picture = (?:(?!```).)*)```\n\n!\[[^\]]*\]\(diagrams/([\w.]+)\)", re.S)
CODE = {name: code for code, name in SHOWN.findall(TEXT)}


def drawn(name: str, folder: Path) -> bytes:
    """The picture called `name`, drawn anew into `folder`."""
    path = folder / name
    if name in CODE:
        namespace: dict = {}
        exec(compile(CODE[name], "diagrams.md", "exec"), namespace)
        namespace["picture"].save(path)
    else:
        assert cli.main([*COMMANDS[name][:-1], str(path)]) == 0
    return path.read_bytes()


@pytest.mark.parametrize("name", sorted({*COMMANDS, *CODE}))
def test_the_pictures_are_those_of_today(name, tmp_path, capsys):
    kept = (ROOT / "docs" / "diagrams" / name).read_bytes()
    assert drawn(name, tmp_path) == kept and len(kept) < 60_000


def test_every_picture_is_on_the_page_and_those_of_the_readme_exist():
    kept = {path.name for path in (ROOT / "docs" / "diagrams").iterdir()}
    assert kept == {*COMMANDS, *CODE} == set(re.findall(r"\]\(diagrams/([\w.]+)\)", TEXT))
    shown = set(re.findall(r"docs/diagrams/([\w.]+)", (ROOT / "README.md").read_text("utf-8")))
    assert {"lenet5.svg", "inception.svg", "resnet50.svg"} <= shown <= kept


def test_the_command_writes_to_standard_output_too(capsys):
    assert cli.main(["diagram", "lenet5", "--collapse", "none"]) == 0
    svg = capsys.readouterr().out
    assert svg.startswith("<svg ") and svg.endswith("</svg>\n") and "<title>lenet5</title>" in svg and ">tanh<" in svg
    assert cli.main(["diagram", "googlenet", "--heads", "--mermaid", "--collapse", "scope", "--direction", "horizontal"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("flowchart LR\n") and "inception5b" in said and "aux2, weight 0.3" in said


def test_the_command_writes_mermaid_and_another_input(tmp_path, capsys):
    path = tmp_path / "resnet20.mmd"
    assert cli.main(["diagram", "resnet20", "--input", "64x64x3", "--mermaid", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n" and "64×64×16" in path.read_text("utf-8")


@pytest.mark.parametrize(("arguments", "said"), [
    (["lenet5", "-o", "lenet5.png"], "the drawing is SVG: give -o a name that ends in .svg, not 'lenet5.png'"),
    (["lenet5", "--collapse", "all"], "invalid choice: 'all'"),
])
def test_wrong_usage_exits_with_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["diagram", *arguments])
    assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert cli.main(["diagram", "lenet5", "-o", str(tmp_path / "nowhere" / "lenet5.svg")]) == 1
    assert "cannot write" in (said := capsys.readouterr().err) and said.count("\n") == 1


if __name__ == "__main__":
    for each in sorted({*COMMANDS, *CODE}):
        drawn(each, ROOT / "docs" / "diagrams")
