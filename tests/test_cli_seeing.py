"""What one sees of a run on the command line: curves, predict, train --tensorboard."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tinygradconv import cli, data

from .test_cli import FAST, ROOT, environment, execute


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of 12 steps, with TensorBoard's files where tensorboardX is installed."""
    folder = tmp_path_factory.mktemp("seeing") / "run"
    try:
        import tensorboardX  # noqa: F401
        more = ["--tensorboard"]
    except ImportError:
        more = []
    done = execute(*FAST, "--out", folder, *more)
    assert done.returncode == 0, done.stderr
    return folder


def ink(path, label=7):
    """A test digit as a file, light on dark."""
    Image = pytest.importorskip("PIL.Image")
    digits = data.get("digits")
    at = int(np.argmax(digits.test.labels == label))
    Image.fromarray(np.round(digits.test.images[at, ..., 0] * 255 / 16).astype(np.uint8)).save(path)
    return path


def test_a_run_leaves_its_curves_and_tensorboard_its_files(run_folder):
    pytest.importorskip("matplotlib")
    accuracy = float((run_folder / "log.csv").read_text().splitlines()[-1].split(",")[5])
    text = (run_folder / "curves.svg").read_text()
    assert f"test {accuracy:.2f} %" in text and "lenet5 on digits, recipe " in text and (run_folder / "curves.png").exists()
    pytest.importorskip("tensorboardX")
    assert len(list((run_folder / "tensorboard").iterdir())) == 1


def test_curves_of_one_run_and_of_several(run_folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    before = (run_folder / "curves.svg").read_bytes()
    (run_folder / "curves.svg").unlink()
    assert cli.main(["curves", str(run_folder)]) == 0
    assert capsys.readouterr().out == f"wrote {run_folder / 'curves.png'} and {run_folder / 'curves.svg'}\n"
    assert (run_folder / "curves.svg").read_bytes() == before
    out = tmp_path / "both.svg"
    assert cli.main(["curves", str(run_folder), str(run_folder), "--out", str(out), "--names", "plain-20", "plain-56"]) == 0
    assert "plain-20 " in out.read_text() and "plain-56 " in out.read_text()


def test_curves_that_a_kill_prevented_are_drawn_when_the_ended_run_is_resumed(run_folder, tmp_path, capsys):
    """Between the last snapshot and the pictures: all is there but for one of them, or both."""
    pytest.importorskip("matplotlib")
    names = "curves.png", "curves.svg"
    whole = [(run_folder / name).read_bytes() for name in names]
    for missing in (names, names[:1], names[1:]):
        folder = tmp_path / str(len(list(tmp_path.iterdir()))) / "run"
        shutil.copytree(run_folder, folder)
        for name in missing:
            (folder / name).unlink()
        assert cli.main(["train", "--resume", str(folder)]) == 0
        assert [(folder / name).read_bytes() for name in names] == whole
        (folder / "curves.svg").write_text("mine")                            # what is there is left alone
        assert cli.main(["train", "--resume", str(folder)]) == 0
        assert (folder / "curves.svg").read_text() == "mine" and not capsys.readouterr().err


def test_predict_prints_the_classes_and_json(run_folder, tmp_path, capsys):
    path = ink(tmp_path / "seven.png")
    assert cli.main(["predict", str(run_folder), str(path), "--top", "3"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == str(path) and len(lines) == 3 and all(re.fullmatch(r" {2,4}\d+\.\d\d %  \d", line) for line in lines)
    assert cli.main(["predict", str(run_folder), str(tmp_path), "--json", "--top", "20", "--weights", "best"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    classes = [each["class"] for each in found["classes"]]
    assert found["file"] == str(path) and found["inverted"] is False and sorted(classes) == list("0123456789")
    shares = [each["probability"] for each in found["classes"]]
    assert sum(shares) == pytest.approx(1, abs=1e-5) and shares == sorted(shares, reverse=True)
    assert f"{100 * shares[0]:.2f} %  {classes[0]}" in lines[0]


def test_predict_names_what_it_cannot_read_and_goes_on(run_folder, tmp_path, capsys):
    Image = pytest.importorskip("PIL.Image")
    good, bad, blank = ink(tmp_path / "a.png"), tmp_path / "b.png", tmp_path / "c.png"
    bad.write_text("hello")
    Image.new("L", (9, 9), 255).save(blank)
    assert cli.main(["predict", str(run_folder), str(bad), str(good), str(blank), str(tmp_path / "no.png")]) == 1
    text = capsys.readouterr()
    assert [line for line in text.out.splitlines() if line[0] != " "] == [
        str(good), f"{blank} (inverted: it is black on white; --invert no takes it as it is)"]
    assert text.err.splitlines() == [
        f"tinygradconv: {bad}: it is no PNG file, nor any of BMP, GIF, JPEG, PNG, PPM, WEBP",
        f"tinygradconv: {blank}: every pixel has the same colour, so what is said of it means nothing",
        f"tinygradconv: {tmp_path / 'no.png'}: there is no such file"]


@pytest.mark.parametrize(("arguments", "said"), [
    (["curves", "a", "b"], "say where to draw several runs: --out FILE.png"),
    (["curves", "a", "--names", "x", "y"], "--names must be as many as the runs (1), got 2"), (["curves"], "required: RUN"),
    (["curves", "a", "--over", "days"], "invalid choice: 'days'"), (["predict", "a"], "required: IMAGE"),
    (["predict", "a", "b", "--top", "0"], "must be at least 1, got 0"), (["predict", "a", "b", "--invert", "x"], "invalid choice: 'x'")])
def test_wrong_usage_exits_with_2(capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [
    (["curves", "nowhere"], "nowhere is not a run: there is no nowhere"),
    (["predict", "nowhere", "a.png"], "nowhere is not the folder of a"),
    (["curves", "RUN", "--out", "a.gif"], "the name of a picture must end in .png, .svg, .pdf, got 'a.gif'"),
    (["predict", "RUN", "."], ".: there are no images in this folder")])
def test_an_expected_failure_is_one_line(run_folder, capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert cli.main([str(run_folder) if word == "RUN" else word for word in arguments]) == 1
    text = capsys.readouterr()
    assert not text.out and text.err.count("\n") == 1 and text.err.startswith("tinygradconv: ") and said in text.err


def test_tensorboard_is_asked_for_before_a_folder_is_made(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert cli.main(["train", "lenet5", "--tensorboard", "--out", str(tmp_path / "run")]) == 1
    assert "pip install 'tinygradconv[tensorboard]'" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_the_help_of_curves_and_predict_imports_no_library_for_pictures():
    code = ("import sys; from tinygradconv import cli; cli.parser().format_help(); "
            "print([m for m in ('matplotlib', 'PIL', 'tensorboardX') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
