"""`train` with changes to its recipe, and `eval` of any weights on any data that fits."""
from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import cli, data, models
from tinygradconv.interop import safetensors
from tinygradconv.train.recipe import Recipe
from tinygradconv.train.recipes import DIGITS_FAST
from tinygradconv.train.snapshot import Run

LINE = r"test accuracy \d+\.\d\d % \((\d+) of 360\)"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of 24 steps with everything that can be asked for."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    with tgc.settings(threads=1):
        assert cli.main(["train", "lenet5", "--data", "Digits", "--recipe", "fast", "--epochs", "2", "--batch-size", "120", "--rate", "0.2",
                         "--ema", "0.5", "--clip", "3", "--accumulate", "2", "--patience", "5", "--workers", "2", "--seed", "4",
                         "--out", str(folder)]) == 0
    return folder


def test_changes_to_the_recipe_are_settled_when_a_run_is_begun(run_folder):
    recipe = json.loads((run_folder / "config.json").read_text())["recipe"]
    assert recipe.pop("name") == "fast"
    assert Recipe.from_json(recipe) == Recipe("sgd", 0.2, 2, 120, DIGITS_FAST.options, warm_up=0.1, augment=DIGITS_FAST.augment, ema=0.5,
                                              clip=3.0, accumulate=2, patience=5)


def counted(folder, weights: dict[str, np.ndarray]) -> int:
    """How many test digits these weights get right, by a plain loop."""
    digits, model = data.get("digits"), models.lenet5.build((28, 28, 1))
    for path, p in model.parameters.items():
        p.data[...] = weights[path]
    x = (digits.test.images.astype(np.float32) - np.float32(digits.mean)) / np.float32(digits.deviation)
    return int((model(x, train=False).numpy().argmax(1) == digits.test.labels).sum())


@pytest.mark.parametrize("which", ["last", "best", "ema", "raw", "FILE"])
def test_eval_tests_the_weights_that_are_asked_for(run_folder, tmp_path, capsys, which):
    run = Run.open(run_folder)
    state, _ = run.load()
    means = {path: state.ema[f"average.{path}"] for path in state.model}
    file = {name: safetensors.load(run_folder / f"{name}.safetensors") for name in ("last", "best")}
    expected = {"last": means, "ema": means, "raw": state.model, "best": file["best"], "FILE": file["last"]}[which]
    assert all((file["last"][path] == mean).all() for path, mean in means.items())
    assert any((state.model[path] != mean).any() for path, mean in means.items())
    shutil.copy(run_folder / "last.safetensors", tmp_path / "mine.safetensors")
    with tgc.settings(threads=1):
        assert cli.main(["eval", str(run_folder), "--weights", str(tmp_path / "mine.safetensors") if which == "FILE" else which]) == 0
    assert int(re.fullmatch(LINE + "\n", capsys.readouterr().out)[1]) == counted(run_folder, expected)


def test_eval_and_resume_print_the_line_of_the_training(run_folder, capsys):
    printed = []
    for command in (["eval", str(run_folder)], ["train", "--resume", str(run_folder), "--workers", "0"]):
        assert cli.main(command) == 0
        printed.append(capsys.readouterr().out)
    said = json.loads((run_folder / "state.json").read_text())["position"]
    assert printed == [f"test accuracy {100 * said['correct'] / 360:.2f} % ({said['correct']} of 360)\n"] * 2


def test_eval_on_other_images(run_folder, tmp_path, capsys, monkeypatch):
    """Smaller ones do not fit; the digits under other names do, and are normalised as the run's own were."""
    digits = data.get("digits")
    other = data.DataSet("others", digits.train, digits.test, tuple("zyxwvutsrq"), (200.0,), (1.0,))
    small = data.DataSet("small", data.Split(digits.train.images[:, :8, :8], digits.train.labels),
                         data.Split(digits.test.images[:, :8, :8], digits.test.labels), digits.classes, (0.0,), (1.0,))
    get = data.get
    monkeypatch.setattr(data, "get", lambda name, root=None: {"others": other, "small": small}.get(name) or get(name, root))
    with tgc.settings(threads=1):
        assert cli.main(["eval", str(run_folder)]) == 0
        expected = capsys.readouterr().out
        assert cli.main(["eval", str(run_folder), "--data", "others"]) == 0
    shown = capsys.readouterr()
    assert shown.out == expected
    assert shown.err == ("tinygradconv: the classes of others have other names than those of digits; they are compared by their order\n")
    assert cli.main(["eval", str(run_folder), "--data", "small"]) == 1
    assert "learned 10 classes from images (28, 28, 1), but small has 10 of (8, 8, 1). Give a data set that fits" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [
    (["--weights", "ema"], "keeps no running mean of its weights. Use last, or train with --ema 0.999"),
    (["--weights", "first"], "No such file or directory: 'first'"), (["--data", "minst"], "there is no data set 'minst'"),
])
def test_what_eval_cannot_find_is_named(tmp_path, capsys, arguments, said):
    with tgc.settings(threads=1):
        assert cli.main(["train", "lenet5", "--epochs", "1", "--batch-size", "720", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert cli.main(["eval", str(tmp_path / "run"), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tinygradconv: ") and said in error and error.count("\n") == 1


def test_a_run_that_stops_early_says_so(tmp_path, capsys):
    with tgc.settings(threads=1):
        assert cli.main(["train", "lenet5", "--epochs", "9", "--batch-size", "720", "--rate", "1e-20", "--patience", "1",
                         "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr()
    assert "tinygradconv: stopped early: no epoch of 1 was better than epoch 1 with " in shown.err
    assert cli.main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == shown.out


def test_a_run_that_diverges_is_one_line_and_its_snapshot_stands(tmp_path, capsys):
    with tgc.settings(threads=1), np.errstate(all="ignore"):
        assert cli.main(["train", "lenet5", "--epochs", "1", "--batch-size", "720", "--rate", "1e38", "--out", str(tmp_path / "run")]) == 1
    shown = capsys.readouterr()
    assert not shown.out and f"The last snapshot is in {tmp_path / 'run'}\n" in shown.err.splitlines(keepends=True)[-1]
    assert re.search(r"is -?(nan|inf)", shown.err)
    assert all(np.isfinite(a).all() for a in Run.open(tmp_path / "run").weights().values())


@pytest.mark.parametrize("spelling", ["cifar10", "CIFAR10", "cifar_10", "cifar-10", "Cifar 10"])
def test_a_data_set_is_known_by_any_spelling_of_its_name(spelling):
    assert data.name_of(spelling) == "cifar-10"
    assert data.name_of("fashion_MNIST") == "fashion-mnist" and data.name_of("cifar100") == "cifar-100"
