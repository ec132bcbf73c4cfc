"""The commands that print tables: summary, plan, models and tables, in every format."""
from __future__ import annotations

import csv
import io
import json
import re
import warnings

import pytest

from tinygradconv import cli, models
from tinygradconv.explain import lecture


def printed_by(capsys, *arguments):
    """What a command prints, exactly."""
    assert cli.main(list(map(str, arguments))) == 0
    text = capsys.readouterr()
    assert not text.err
    return text.out


def test_summary_in_every_format_says_the_same(capsys):
    rows = list(csv.DictReader(io.StringIO(printed_by(capsys, "summary", "resnet50", "--csv"), newline="")))
    data = json.loads(printed_by(capsys, "summary", "resnet50", "--json"))
    markdown, latex = (printed_by(capsys, "summary", "resnet50", f"--{name}").splitlines() for name in ("markdown", "latex"))
    assert len(rows) == len(data["layers"]) + 2 == len(markdown) - 2 == len(latex) - 7
    assert [rows[-1][name] for name in ("kind", "parameters", "macs")] == ["total", "25557032", "4089184256"]
    for row, layer in zip(rows[1:-1], data["layers"], strict=True):
        assert (row["path"], row["layer"], row["output"]) == (layer["path"], layer["layer"], "x".join(map(str, layer["output"])))
        assert all(row[name] == str(layer[name]) for name in ("parameters", "macs", "activation_bytes", "kept_bytes"))
    assert markdown[-1].startswith("|  | total |  | 25,557,032 | 4,089,184,256 |") and "25,557,032 & 4,089,184,256" in latex[-3]


def test_summary_by_scope_with_heads_and_for_other_classes(capsys):
    table = json.loads(printed_by(capsys, "summary", "googlenet_2014", "--heads", "--depth", 1, "--json"))
    assert table["totals"]["parameters"] == 13_378_280
    assert [layer["path"] for layer in table["layers"]].count("aux1") == 1 and len(table["layers"]) < 30
    table = json.loads(printed_by(capsys, "summary", "resnet18", "--classes", 7, "--json"))
    assert table["totals"]["parameters"] == 11_689_512 - 993 * 513 and table["layers"][-1]["output"] == [7]


def test_summary_and_plan_of_a_spec_in_a_file(capsys, tmp_path):
    (tmp_path / "my.json").write_text(models.lenet5.to_json())
    table = json.loads(printed_by(capsys, "summary", tmp_path / "my.json", "--input", "28x28x1", "--json"))
    assert table == models.lenet5.table((28, 28, 1)).as_dict()
    assert printed_by(capsys, "plan", tmp_path / "my.json", "--input", "28x28x1", "--evaluation").startswith(
        "In evaluation: 12 layers run as 8 ops.\n\npath  runs as one   why\n0     Conv + Tanh ")
    for arguments, said in ((["my.json"], "my.json does not say what its input is: add --input HxWxC, such as --input 32x32x3"),
                            (["my.json", "--input", "28x28x1", "--classes", "3"], "a spec in a file is what it is")):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["summary", *arguments])
        assert stopped.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(("text", "said"), [
    ('{"tinygradconv": 1, "spec": {"layer": "Conf"}}', "strange.json: from_json: spec: unknown layer 'Conf'. Did you mean 'Conv'?"),
    ("\xff not text", "strange.json: from_json: not a JSON text"), ("[" * 100_000, "strange.json: from_json: "),
    (" " * (16 * 2 ** 20 + 1), "characters long; at most"),
], ids=["unknown layer", "not JSON", "deep", "long"])
def test_a_file_that_is_no_spec_is_refused_in_one_line(capsys, tmp_path, text, said):
    (tmp_path / "strange.json").write_bytes(text.encode("latin-1"))
    assert cli.main(["summary", str(tmp_path / "strange.json"), "--input", "28x28x1"]) == 1
    text = capsys.readouterr()
    assert not text.out and len(text.err.splitlines()) == 1 and said in text.err


def test_plan_says_what_runs_as_one_in_training_and_in_evaluation(capsys):
    text = printed_by(capsys, "plan", "resnet18")
    training, evaluation = text.split("\n\nIn evaluation: ")
    assert training.startswith("In training: ") and re.search(r"^conv1 +Conv \+ BatchNorm \+ ReLU ", evaluation, re.M)
    assert str(models.get("resnet18")[0].plan((224, 224, 3), train=True)) in training
    assert str(models.get("resnet18")[0].plan((224, 224, 3), train=False)) in evaluation
    assert printed_by(capsys, "plan", "resnet18", "--training").rstrip("\n") == training


def test_models_lists_every_network(capsys):
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(printed_by(capsys, "models", "--csv"), newline=""))}
    assert list(rows) == list(models.MODELS)
    assert rows["vgg16"] == {"name": "vgg16", "input": "224x224x3", "parameters": "138357544", "macs": "15470264320",
                             "paper": "Simonyan and Zisserman 2015",
                             "title": "Very deep convolutional networks for large-scale image recognition"}
    assert re.search(r"^resnet20 +32×32×3 +269,722 +40,551,040  He, Zhang, Ren and Sun 2016$", printed_by(capsys, "models"), re.M)


def test_tables_of_the_lecture(capsys, tmp_path):
    text = printed_by(capsys, "tables", "lecture")
    for number in ("15,237,608", "24M", "271,351,808", "353M", "854,196,224", "6,998,552", "5 million", "138,344,128", "8.7", "16,781,312"):
        assert number in text
    assert json.loads(printed_by(capsys, "tables", "lecture", "vgg16", "--json")) == {"tables": [lecture.table("vgg16").as_dict()]}
    assert printed_by(capsys, "tables", "lecture", "vgg16", "--csv") == lecture.table("vgg16").to_csv()
    assert printed_by(capsys, "tables", "lecture", "totals", "vgg16", "--markdown").count("\n| :--- |") == 2
    assert printed_by(capsys, "tables", "lecture", "--latex").count(r"\begin{tabular}") == len(lecture.TABLES)
    listed = printed_by(capsys, "tables", "--list")
    assert [line.split()[:2] for line in listed.splitlines()] == [["lecture", name] for name in lecture.TABLES]
    assert printed_by(capsys, "tables") == listed
    assert printed_by(capsys, "tables", "lecture", "--csv", "--out", tmp_path / "new" / "folder").startswith("12 tables in ")
    for name in lecture.TABLES:
        assert (tmp_path / "new" / "folder" / f"{name}.csv").read_bytes().decode() == lecture.table(name).to_csv()


def test_tables_one_after_another_as_csv_are_announced_by_name(capsys):
    text = printed_by(capsys, "tables", "lecture", "rivals", "families", "--csv")
    assert text == f"rivals\r\n{lecture.table('rivals').to_csv()}\r\nfamilies\r\n{lecture.table('families').to_csv()}"


def test_a_warning_is_one_line_without_the_program_around_it(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli.main(["summary", "resnet18", "--input", "3x224x224"]) == 0
    assert re.fullmatch(r"tinygradconv: .*channels last: \(224, 224, 3\)\n", capsys.readouterr().err)
