"""The command line as a user meets it: in processes of their own where signals or streams matter."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tinygradconv as tgc
from tinygradconv import cli
from tinygradconv.interop import safetensors
from tinygradconv.spec.table import HEADINGS
from tinygradconv.train.config import to_text

ROOT = Path(__file__).resolve().parent.parent
LINE = r"test accuracy (\d+\.\d\d) % \((\d+) of 360\)"
FAST = ["train", "lenet5", "--epochs", "1", "--batch-size", "120"]           # 12 steps


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tinygradconv.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def execute(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, what was printed) of a run of 12 steps that nobody stopped."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = execute(*FAST, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_training_ends_with_the_accuracy_in_exactly_this_form(whole):
    folder, printed = whole
    found = re.fullmatch(LINE + "\n", printed)
    assert found and f"{100 * int(found[2]) / 360:.2f}" == found[1]
    config = json.loads((folder / "config.json").read_text())
    assert (config["model"], config["data"], config["epochs"], config["batch_size"], config["seed"]) == ("lenet5", "digits", 1, 120, 0)
    assert len((folder / "log.csv").read_text().splitlines()) == 2


@pytest.mark.slow
def test_the_digits_are_learnt_to_96_percent(tmp_path):
    done = execute("train", "lenet5", "--out", tmp_path / "run")
    found = re.search(LINE + "\n$", done.stdout)
    assert found and int(found[2]) >= 0.96 * 360, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.data
def test_mnist_is_learnt_from_its_real_files(tmp_path, data_root):
    done = execute("train", "lenet5", "--data", "mnist", "--data-dir", data_root, "--epochs", 1, "--batch-size", 128,
                   "--out", tmp_path / "run")
    found = re.search(r"test accuracy \d\d\.\d\d % \((\d+) of 10000\)\n$", done.stdout)
    assert found and int(found[1]) >= 9600, done.stdout + done.stderr


def test_eval_and_resume_of_a_finished_run_print_the_same_line(whole, capsys):
    folder, printed = whole
    with tgc.settings(threads=1):
        assert cli.main(["eval", str(folder)]) == 0
    assert capsys.readouterr().out == printed
    assert cli.main(["train", "--resume", str(folder)]) == 0
    assert capsys.readouterr().out == printed


def started(folder: Path, *, steps: int) -> subprocess.Popen:
    """A run of 12 steps that saves after each, once it has done `steps`."""
    slow = ("from tinygradconv import cli; from tinygradconv.train import loop; "
            f"loop.train.__kwdefaults__['save_every'] = 0.0; raise SystemExit(cli.main({[*FAST, '--out', str(folder)]!r}))")
    process = subprocess.Popen([sys.executable, "-c", slow], cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    state, until = folder / "state.json", time.monotonic() + 100
    while process.poll() is None and time.monotonic() < until:
        if state.exists() and json.loads(state.read_text())["position"]["step"] >= steps:
            break
        time.sleep(0.005)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 4])
def test_kill_9_and_resume_end_in_the_same_bits(whole, tmp_path, steps):
    process = started(tmp_path / "run", steps=steps)
    process.kill()
    process.communicate()
    done = execute("train", "--resume", tmp_path / "run")
    assert done.returncode == 0 and done.stdout == whole[1], done.stderr
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == (whole[0] / "last.safetensors").read_bytes()


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_go_on_and_exits_with_130(whole, tmp_path):
    process = started(tmp_path / "run", steps=2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == f"tinygradconv: stopped, and saved. tinygradconv train --resume {tmp_path / 'run'} goes on"
    done = execute("train", "--resume", tmp_path / "run")
    assert done.returncode == 0 and done.stdout == whole[1], done.stderr
    assert re.search(r"into .*run, going on after step [2-9]\n", done.stderr)
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == (whole[0] / "last.safetensors").read_bytes()


def test_summary_prints_the_table_and_json(capsys):
    assert cli.main(["summary", "lenet5"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"total\s+61,706\s+416,520", printed)
    assert all(f"{heading}: " in printed for heading in HEADINGS[4:])                        # each column of numbers is explained
    assert cli.main(["summary", "lenet5", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["totals"]["parameters"] == 61706 and table["totals"]["macs"] == 416520 and len(table["layers"]) >= 11
    assert cli.main(["summary", "lenet5", "--input", "32x32x3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["parameters"] > 61706


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "name a command"), (["fly"], "invalid choice: 'fly'"), (["train"], "name a MODEL, or a run by --resume"),
    (["train", "lenet5", "--resume", "x"], "--resume goes on with the run as it was begun: leave out lenet5"),
    (["train", "--resume", "x", "--batch-size", "3"], "leave out --batch-size"),
    (["train", "lenet5", "--epochs", "0"], "must be at least 1, got 0"),
    (["train", "lenet5", "--epochs", "many"], "must be an integer, got 'many'"),
    (["train", "lenet5", "--seed", "-1"], "must be at least 0, got -1"),
    (["eval"], "required: RUN"), (["summary", "lenet5", "--input", "28x"], "must be HxWxC, such as 28x28x1, got '28x'"),
    (["summary", "lenet5", "--csv", "--json"], "argument --json: not allowed with argument --csv"),
    (["summary", "lenet5", "--depth", "0"], "must be at least 1, got 0"), (["tables", "lectures"], "invalid choice: 'lectures'"),
    (["tables", "--out", "folder"], "name whose tables to write: lecture"), (["tables", "--json"], "name whose tables to write: lecture"),
    (["plan", "lenet5", "--training", "--evaluation"], "not allowed with argument --training"),
])
def test_wrong_usage_exits_with_2_and_the_help(capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    text = capsys.readouterr()
    assert stopped.value.code == 2 and "usage: tinygradconv" in text.err and said in text.err and not text.out


@pytest.mark.parametrize(("arguments", "said"), [
    (["train", "lenet"], "there is no model 'lenet'"),
    (["train", "lenet5", "--data", "minst"], "there is no data set 'minst', nor a folder of images of this name; there are: digits"),
    (["train", "lenet5", "--recipe", "best"], "there is no recipe 'best'; there are: paper, fast, adam, sgd"),
    (["eval", "nowhere"], "nowhere is not the folder of a run"),
    (["train", "--resume", "nowhere"], "nowhere is not the folder of a run"), (["summary", "lenet5", "--input", "4x4x1"], "does not fit"),
    (["summary", "resnet5O"], "there is no model 'resnet5O'; did you mean 'resnet"),
    (["summary", "no.json", "--input", "4x4x1"], "cannot read no.json"),
    (["summary", "vgg16", "--input", "16x16x3"], "features.30: MaxPool: a window that spans 2×2 does not fit into an image of 1×1"),
    (["summary", "vgg16", "--heads"], "vgg16 has no auxiliary heads; googlenet"), (["plan", "alexnet", "--input", "8x8x3"], "does not fit"),
    (["tables", "lecture", "vgg"], "the lecture has no table 'vgg'; did you mean 'vgg16'?"),
    (["tables", "lecture", "--out", "file/deep"], "cannot make the folder file/deep: Not a directory. Name another one by --out"),
    (["train", "lenet5", "--out", "file/run"], "cannot make the folder file/run"), (["train", "lenet5", "--out", "."], "is not empty"),
])
def test_an_expected_failure_is_one_line_and_exit_code_1(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert cli.main(arguments) == 1
    text = capsys.readouterr()
    assert not text.out and len(text.err.splitlines()) == 1 and text.err.startswith("tinygradconv: ") and said in text.err
    assert not (tmp_path / "runs").exists()


def test_damaged_weights_are_not_evaluated(whole, tmp_path, capsys):
    for name in ("config.json", "last.safetensors"):
        (tmp_path / name).write_bytes((whole[0] / name).read_bytes())
    path = tmp_path / "last.safetensors"
    sound = path.read_bytes()
    weights = safetensors.load(path)
    smaller = safetensors.to_bytes({**weights, "0.weight": weights["0.weight"][1:]})
    for data, said in ((sound[:-1] + bytes([sound[-1] ^ 1]), "is damaged: its values are not those that were saved"),
                       (sound[:1000], "is not a sound safetensors"), (smaller, "the weights: 0.weight must be float32 (5, 5, 1, 6)")):
        path.write_bytes(data)
        assert cli.main(["eval", str(tmp_path)]) == 1
        assert said in capsys.readouterr().err


def test_a_run_notices_that_its_data_are_others(whole, tmp_path, capsys):
    config = json.loads((whole[0] / "config.json").read_text())
    del config["sha256"]
    (tmp_path / "config.json").write_text(to_text({**config, "data_crc32": config["data_crc32"] ^ 1}))
    (tmp_path / "last.safetensors").write_bytes((whole[0] / "last.safetensors").read_bytes())
    assert cli.main(["eval", str(tmp_path)]) == 1
    assert "was begun with other digits files than are there now" in capsys.readouterr().err


def test_help_is_quick_and_the_run_has_a_folder_of_its_own(tmp_path, monkeypatch):
    code = ("import sys; from tinygradconv import cli; cli.parser().format_help(); "
            "print([m for m in ('scipy', 'tqdm', 'safetensors') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
    from tinygradconv.train import sessions
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(2):
        session = sessions.begin("lenet5", epochs=1)
        names.append(str(session.run.folder))
        session.run.close()
    assert names == [str(Path("runs/lenet5-digits")), str(Path("runs/lenet5-digits-2"))]
