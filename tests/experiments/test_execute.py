"""Experiments from the command to the report: in their quick form, stopped and killed on the way, and made again from the logs."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import cli, experiments
from tinygradconv.experiments import ensemble, execute, pictures, report
from tinygradconv.experiments.place import Place
from tinygradconv.experiments.results import Results
from tinygradconv.train.interrupt import Interrupted

ROOT = Path(__file__).resolve().parents[2]
SIZE = 10                                  # steps of a network of the quick form of lenet5


@contextmanager
def hurried(drawing: bool = False):
    """On one thread, and without the seconds that pictures take."""
    with tgc.settings(threads=1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "find_spec", find_spec if drawing else lambda name: None)
        yield


@pytest.fixture(autouse=True)
def hurry():
    with hurried():
        yield


def command(*arguments: object) -> int:
    return cli.main(["experiment", *map(str, arguments)])


def weights(folder: Path) -> dict[str, bytes]:
    """The last weights of every network."""
    return {run.name: (run / "last.safetensors").read_bytes() for run in sorted((folder / "runs").iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the quick form of lenet5 that nobody stopped."""
    folder = tmp_path_factory.mktemp("experiment") / "whole"
    with hurried(drawing=True):
        assert command("lenet5", "--quick", "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """The folder of the quick form of the ensemble."""
    folder = tmp_path_factory.mktemp("experiment") / "seven"
    with hurried():
        assert command("ensemble", "--quick", "--out", folder) == 0
    return folder


@pytest.mark.parametrize("name", [name for name in experiments.EXPERIMENTS if name not in ("lenet5", "ensemble", "cost")])
def test_the_quick_form_runs_to_its_report(tmp_path, capsys, name):
    folder = tmp_path / name
    assert command(name, "--quick", "--out", folder) == 0
    said = json.loads((folder / "report.json").read_text())
    form = experiments.get(name).form("quick")
    assert [net["key"] for net in said["networks"]] == [net.key for net in form.nets] and all(net["finished"] for net in said["networks"])
    assert len(said["verdicts"]) == len(form.expectations) and {one["verdict"] for one in said["verdicts"]} <= {"inside", "outside"}
    text = (folder / "report.md").read_text()
    assert text.startswith(f"# {experiments.get(name).title}\n") and all(net.title in text for net in form.nets)
    assert f"of {len(form.expectations)} inside; the report is {folder / 'report.md'}\n" in capsys.readouterr().out


def test_the_seven_are_reported_one_by_one_and_together(seven):
    said, text = json.loads((seven / "report.json").read_text()), (seven / "report.md").read_text()
    assert [net["seed"] for net in said["networks"]] == list(range(7))
    assert all(f"| {which} | {said['measured'][name]:.2f} % |" in text for name, which in ensemble.SIZES.items())


def test_the_report_has_expected_beside_got_seeds_times_and_the_machine(whole):
    said = json.loads((whole / "report.json").read_text())
    first = said["verdicts"][0]
    (point,) = said["networks"][0]["points"]
    assert first["published"] == "0.95 %" and (first["low"], first["high"]) == (0.65, 1.25) and first["got"] == point["error"]
    assert said["networks"][0]["seed"] == 0 and point["seconds"] > 0 and 0 < point["train_error"] < 100
    assert said["machines"][0]["numpy"] == np.__version__ and said["machines"][0]["threads"] == 1
    text = (whole / "report.md").read_text()
    assert "| LeNet-5 without distortions, test error | 0.95 % | 0.65 … 1.25 % | " in text and "NumPy" in text and "mean nothing" in text


def test_the_report_is_made_again_from_the_logs(whole, capsys):
    assert command("lenet5", "--quick", "--out", whole, "--report") == 0
    before = (whole / "report.json").read_bytes(), (whole / "report.md").read_bytes()
    (whole / "report.json").unlink()
    (whole / "report.md").write_text("gone")
    assert command("lenet5", "--quick", "--out", whole, "--report") == 0
    assert ((whole / "report.json").read_bytes(), (whole / "report.md").read_bytes()) == before


def test_a_finished_experiment_is_only_reported(whole, monkeypatch, capsys):
    monkeypatch.setattr(execute, "train", lambda *_, **__: pytest.fail("trained again"))
    assert command("lenet5", "--quick", "--out", whole, "--resume") == 0


def test_pictures_are_drawn_where_matplotlib_is(whole):
    pytest.importorskip("matplotlib")
    assert (whole / "curves.png").read_bytes().startswith(b"\x89PNG") and b"without distortions" in (whole / "curves.svg").read_bytes()
    place = Place.open(whole, experiments.get("lenet5"), "quick")
    with_pictures = report.markdown(place, place.results(), [], ["curves"])
    assert "![curves](curves.svg)" in with_pictures and "No pictures" not in with_pictures


def test_every_picture_can_be_drawn(seven, tmp_path):
    pytest.importorskip("matplotlib")
    with hurried(drawing=True):
        place = Place.open(seven, experiments.get("ensemble"), "quick")
        assert pictures.draw(place, place.results()) == ["curves", "ensemble"]
        times = Place.create(tmp_path / "cost", experiments.get("cost"), "quick")
        assert pictures.draw(times, Results({}, {"lenet5 ms": 0.5, "resnet20 ms": 4.0})) == ["times"]
    assert b"milliseconds per image" in (tmp_path / "cost" / "times.svg").read_bytes()


def test_without_matplotlib_the_report_says_so(seven):
    report.write(Place.open(seven, experiments.get("ensemble"), "quick"))
    assert "No pictures: they need matplotlib: pip install 'tinygradconv[viz]'." in (seven / "report.md").read_text()


def test_a_stop_is_told_and_gone_on_from(tmp_path, whole, monkeypatch, capsys):
    folder, real, count = tmp_path / "stopped", execute.train, iter(range(9))

    def train(*arguments, **options):
        if next(count) == 1:
            raise Interrupted(2)
        return real(*arguments, **options)
    monkeypatch.setattr(execute, "train", train)
    assert command("lenet5", "--quick", "--out", folder) == 130
    said = json.loads((folder / "report.json").read_text())
    assert [one["verdict"] == "not known" for one in said["verdicts"]] == [False, True, True]
    assert "--resume goes on" in capsys.readouterr().err
    assert command("lenet5", "--quick", "--out", folder, "--resume") == 0
    assert weights(folder) == weights(whole)


def test_killed_and_resumed_it_ends_in_the_same_bits(tmp_path, whole):
    """Signal 9 in the second network, when its run is in the middle of its epoch."""
    folder = tmp_path / "killed"
    program = f"""
import os, sys
from tinygradconv import cli
from tinygradconv.train.training import Training
step, done = Training.step, []
def killing(self, x, labels):
    done.append(0)
    if len(done) > {SIZE + SIZE // 2}:
        os.kill(os.getpid(), 9)
    return step(self, x, labels)
Training.step = killing
sys.exit(cli.main(["experiment", "lenet5", "--quick", "--out", {str(folder)!r}]))
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
                            timeout=100)
    assert killed.returncode == -9, killed.stderr
    assert sorted(weights(folder)) == ["distorted-seed0", "plain-seed0"] and not (folder / "report.json").exists()
    assert command("lenet5", "--quick", "--out", folder, "--resume") == 0
    assert weights(folder) == weights(whole)


def test_killed_before_its_numbers_are_written_it_measures_again(seven, monkeypatch, capsys):
    """The numbers are the same, and the networks are not trained again."""
    before = (seven / "measured.json").read_bytes()
    (seven / "measured.json").unlink()
    monkeypatch.setattr(execute, "train", lambda *_, **__: pytest.fail("trained again"))
    assert command("ensemble", "--quick", "--out", seven, "--resume") == 0
    assert (seven / "measured.json").read_bytes() == before


def test_wrong_folders_are_refused_with_a_cure(tmp_path, whole, capsys):
    def fails(*arguments: object) -> str:
        assert command(*arguments) == 1
        return capsys.readouterr().err

    assert f"{whole} is an experiment already: --resume goes on with it" in fails("lenet5", "--quick", "--out", whole)
    assert "holds the experiment lenet5 in its form quick (format 1), not pooling in its form quick" in fails("pooling", "--quick", "--out",
                                                                                                             whole, "--resume")
    assert "has no experiment.json. Leave out --resume to begin" in fails("lenet5", "--quick", "--out", tmp_path, "--resume")
    (tmp_path / "note.txt").write_text("mine")
    assert f"{tmp_path} is not empty. Name another folder by --out" in fails("lenet5", "--quick", "--out", tmp_path)
    (tmp_path / "experiment.json").write_text("{")
    assert "experiment.json is damaged" in fails("lenet5", "--quick", "--out", tmp_path, "--resume")
    config = json.loads((whole / "experiment.json").read_text())
    config["networks"]["plain-seed0"]["seed"] = 7
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    assert "was begun with another description of plain-seed0 than" in fails("lenet5", "--quick", "--out", tmp_path, "--resume")


@pytest.mark.parametrize("damaged", ['{"single": [1.0,', "[1]", "\xff"])
def test_damaged_numbers_are_named_with_a_cure(tmp_path, damaged):
    place = Place.create(tmp_path / "ensemble", experiments.get("ensemble"), "quick")
    assert place.measured() == {}
    (place.folder / "measured.json").write_text(damaged, "latin-1")
    with pytest.raises(ValueError, match=r"measured\.json is damaged: .*\. Delete it: --resume measures again$"):
        place.results()


def test_wrong_usage_and_the_list(capsys):
    assert command("--list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(experiments.EXPERIMENTS)
    with pytest.raises(SystemExit):
        command()
    assert "name an experiment; --list names them" in capsys.readouterr().err


def test_the_mean_of_answers_by_hand():
    """Two of three are wrong about the image, by little; the third is right by much."""
    answers = np.array([[[0.4, 0.6]], [[0.45, 0.55]], [[0.9, 0.1]]])
    label = np.array([0])
    assert [ensemble.wrong(one, label) for one in answers] == [100.0, 100.0, 0.0]
    assert ensemble.wrong(answers.mean(0), label) == 0.0 and ensemble.wrong(np.array([[0.5, 0.5]]), label) == 0.0


def test_the_seven_together_are_the_softmaxes_of_the_seven(seven):
    """Against scores taken one image at a time, and a softmax of NumPy."""
    place = Place.open(seven, experiments.get("ensemble"), "quick")
    data = place.images(place.form.nets[0].images)
    x = (data.test.images - np.float32(data.mean[0])) / np.float32(data.deviation[0])
    total = 0.0
    for net in place.form.nets:
        scores = np.concatenate([place.trained(net)(tgc.Tensor(one[None]), train=False).numpy() for one in x[:20]]).astype(np.float64)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        total = total + shares / shares.sum(1, keepdims=True)
    answers = [ensemble.probabilities(place.trained(net), [(x[:20], data.test.labels[:20])])[0] for net in place.form.nets]
    assert np.allclose(sum(answers), total, atol=1e-5)
    measured = place.measured()
    assert measured["mean"] == pytest.approx(np.mean(measured["single"])) and len(measured["grown"]) == 7
    assert measured["grown"][0] == measured["single"][0] and measured["grown"][-1] == measured["together"]
