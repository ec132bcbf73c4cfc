"""The gate: what it counts, when it believes a time, which rises a reason accepts, and that what is planted can be planted."""
from __future__ import annotations

import itertools
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygradconv as tgc
from benchmarks.gate import plants
from benchmarks.gate.__main__ import main
from benchmarks.gate.build import GateError
from benchmarks.gate.counters import counted_allocations, counters_of
from benchmarks.gate.findings import Finding, acceptances, judged, rises
from benchmarks.gate.instructions import Instructions, _read
from benchmarks.gate.kernel import last_kernel
from benchmarks.gate.report import entry
from benchmarks.gate.sequential import SlowerTest
from benchmarks.gate.works import WORKS, Work
from tinygradconv.backends import CPU

ROOT = Path(__file__).resolve().parent.parent


# Counters.
@pytest.mark.parametrize("name", WORKS)
def test_every_work_runs(name):
    assert all(isinstance(value, int) and value >= 0 for value in counters_of(WORKS[name]()).values())


def test_an_allocation_more_is_counted():
    def call(arrays):
        return lambda: [CPU.empty((1000, 1000), "float32") for _ in range(arrays)] + [np.zeros(3)]
    assert counters_of(Work(call(2)))["allocations"] == 3
    assert counters_of(Work(call(3)))["allocations"] == 4


def test_a_large_array_raises_the_peak_of_the_pool_by_its_bytes():
    assert counters_of(Work(lambda: CPU.empty((1000, 1000), "float32")))["peak of the pool, bytes"] == 4_000_000


def test_the_tape_is_counted_without_its_leaves():
    x = tgc.Tensor(np.ones((8, 8), np.float32)).requires_grad_()
    c = tgc.Tensor(np.ones((8, 8), np.float32))
    counters = counters_of(Work(lambda: x * c, lambda: (x * c) * c, [x]))
    assert counters["tape nodes"] == 2 and counters["bytes kept"] == 8 * 8 * 4          # c once; x is a leaf


def test_numpy_is_itself_again_after_counting():
    functions = np.empty, np.zeros
    with pytest.raises(ZeroDivisionError), counted_allocations():
        1 / 0  # noqa: B018
    assert (np.empty, np.zeros) == functions


# Instructions.
CALLGRIND = """\
desc: Trigger: Client Request: conv: forward
events: Ir
ob=(1) /usr/bin/python3
fl=(1) ???
fn=(1) main
0 100
cob=(2) /site/tinygradconv/_compiled/conv_v3.cpython-311.so
cfi=(1)
cfn=(2) kernel
calls=1 0
0 5000
0 20
ob=(2)
fn=(2)
0 4000
cob=(3) /site/tinygradconv/_compiled/memory.cpython-311.so
cfn=(3) take
calls=2 0
0 1000
ob=(3)
fn=(3)
0 1000
"""


def test_callgrinds_file_is_summed_by_what_each_object_spent_itself():
    assert _read(CALLGRIND) == ("conv: forward", Instructions(4000, 1120, ("conv_v3", "memory")))


# When a time is believed.
def verdict(ratios, limit=0.05):
    test = SlowerTest(limit)
    for ratio in ratios:
        test.add(ratio)
        if test.verdict:
            return test.verdict, len(test.ratios)
    return "", len(test.ratios)


def test_six_rounds_over_the_limit_are_slower_and_three_that_are_not_are_not():
    assert verdict(itertools.repeat(1.06)) == ("slower", 6)
    assert verdict(itertools.repeat(1.04)) == ("not slower", 3)
    assert verdict(itertools.repeat(2.0), limit=1.5) == ("not slower", 3)


def test_a_wild_round_is_outvoted():
    assert verdict([40.0, 1.0, 1.0, 1.0, 1.0]) == ("not slower", 5)
    assert verdict([1.1, 0.2, *[1.1] * 7]) == ("slower", 8)


def test_doubt_without_end_is_no_alarm():
    assert verdict(itertools.cycle([1.1, 1.0])) == ("not slower", 40)


@pytest.mark.parametrize("above", [0.1, 0.3, 0.7, 0.95])
def test_the_odds_of_an_alarm_are_those_of_a_gambler_with_3_to_lose_and_6_to_win(above):
    numbers, runs = random.Random(0), 1_000
    alarms = sum(verdict(iter(lambda: 1.1 if numbers.random() < above else 1.0, None))[0] == "slower" for _ in range(runs))
    odds = (1 - above) / above
    assert alarms / runs == pytest.approx((1 - odds ** 3) / (1 - odds ** 9), abs=0.03)


# What is a rise, and what is accepted.
BASE = {"a": {"allocations": 3, "instructions in kernels": 1_000_000, "bytes kept": 10}, "b": {"tape nodes": 1}}


@pytest.mark.parametrize(("head", "found"), [
    (BASE, []),
    ({"a": BASE["a"] | {"allocations": 4}, "b": {"tape nodes": 1}}, [Finding("a", "allocations", 3, 4)]),
    ({"a": BASE["a"] | {"instructions in kernels": 1_010_000, "bytes kept": 9}, "b": {"tape nodes": 0}}, []),
    ({"a": BASE["a"] | {"instructions in kernels": 1_010_001}, "b": {"tape nodes": 1}},
     [Finding("a", "instructions in kernels", 1_000_000, 1_010_001)]),
    ({"a": BASE["a"]}, [Finding("b", "tape nodes", 1, float("inf"))]),
    (BASE | {"c": {"allocations": 100}}, []),
])
def test_rises(head, found):
    assert rises(BASE, head) == found


def repository(folder: Path, accepted: str | None) -> Path:
    """A repository of one commit."""
    def git(*arguments):
        subprocess.run(["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments], check=True)
    git("init", "--quiet")
    (folder / "README").write_text("nothing\n")
    if accepted is not None:
        (folder / "benchmarks" / "gate").mkdir(parents=True)
        (folder / "benchmarks" / "gate" / "accepted.toml").write_text(accepted)
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    return folder


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@needs_git
def test_a_recorded_reason_accepts_a_rise_up_to_its_end_and_no_further(tmp_path):
    text = '[[accepted]]\nwork = "a*"\ncounter = "allocations"\nfrom = 3\nto = 5\nreason = "two buffers more save a pass"\n'
    accepted = acceptances("HEAD", repository(tmp_path, text))

    def reason(before, after, work="a", counter="allocations"):
        return judged([Finding(work, counter, before, after)], accepted)[0].reason
    assert reason(3, 5) == reason(4, 5) == "two buffers more save a pass"
    assert reason(3, 6) is reason(2, 5) is reason(3, 5, work="b") is reason(3, 5, counter="tape nodes") is None


@needs_git
@pytest.mark.parametrize("text", ["[[accepted]]\nwork = 'a'\n", "[[accepted]\n",
                                  "[[accepted]]\nwork = 'a'\ncounter = 'allocations'\nfrom = 1\nto = 2\nreason = ' '\n"])
def test_an_entry_without_a_reason_is_an_error(tmp_path, text):
    with pytest.raises(GateError, match=r"accepted\.toml"):
        acceptances("HEAD", repository(tmp_path, text))


@needs_git
def test_a_commit_without_the_file_accepts_nothing_and_the_file_here_is_well_formed(tmp_path):
    assert acceptances("HEAD", repository(tmp_path, None)) == []
    (tmp_path / "second").mkdir()
    acceptances("HEAD", repository(tmp_path / "second", (ROOT / "benchmarks" / "gate" / "accepted.toml").read_text()))


@needs_git
def test_the_entry_that_the_gate_prints_is_accepted(tmp_path):
    finding = Finding("pool: forward", "instructions in kernels", 1000, 2000)
    assert judged([finding], acceptances("HEAD", repository(tmp_path, entry(finding))))[0].reason == "…"


@needs_git
def test_what_cannot_be_measured_is_status_2(tmp_path, capsys):
    assert main(["no-such-commit", "HEAD", "--repository", str(repository(tmp_path, None)), "--cache", str(tmp_path / "cache")]) == 2
    assert "no-such-commit" in capsys.readouterr().err


# What is planted.
@pytest.mark.parametrize("plant", [plant for plant in plants.PLANTS if not plant.work.startswith("dispatch")], ids=str)
def test_a_kernel_plant_finds_its_place(plant, tmp_path):
    name, kernel = last_kernel(WORKS[plant.work]())
    folder = tmp_path / name
    shutil.copytree(ROOT / "kernels" / name, folder)
    plants._plant_in_kernel(folder, kernel, 1234, plant.kind)
    text = "\n".join(path.read_text() for path in folder.glob("*.p*"))
    assert re.search(rf'\ndef {kernel}\([^"]*\):\n    """[^"]*"""\n    waste\(1234\)\n', text)
    assert '\ncdef extern from *:\n    """\n    static void waste(' in text                 # on lines of its own, not in a comment


def test_the_plant_is_in_the_kernel_that_runs():
    assert last_kernel(WORKS["conv resnet_3x3_64_56: grad-weight"]()) == ("winograd", "winograd_grad_weight")
    assert last_kernel(WORKS["conv resnet_3x3_64_56 exact: grad-weight"]()) == ("conv", "conv2d_grad_weight")


def test_the_dispatch_plant_finds_its_place(tmp_path):
    source = tmp_path / "primitive.py"
    shutil.copy(ROOT / "tinygradconv" / "primitive.py", source)
    plants._plant_in_dispatch(source, 1e-4)
    planted = r'def __call__\(self, \*inputs.*\n +""".*"""\n        for _ in range\(\d+\):\n            pass\n'
    assert re.search(planted, source.read_text())
    compile(source.read_text(), str(source), "exec")


def test_the_process_that_compares_needs_no_package_of_its_own():
    code = "import sys; sys.modules['tinygradconv'] = None; import benchmarks.gate.__main__, benchmarks.gate.selftest"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
