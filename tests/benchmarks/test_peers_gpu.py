"""The comparison on a GPU: its arithmetic, its bars, its steps over a stub, and what is said without a GPU. Nothing is timed here."""
from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygradconv as tgc
from benchmarks.peers import gpu, gpu_time, gpu_works
from benchmarks.peers.gpu_time import AMP, BARS, COMPILED, COPY, CUBLAS, EAGER, Bar, Limits, Row, judge, medians
from benchmarks.peers.work import OURS, Floor
from tests.cuda.emulated import DefinedBackend
from tinygradconv import backends
from tinygradconv.backends.cuda.toolchain import obstacles
from tinygradconv.spec.infer import infer

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits({"fp32": 50e12, "bf16": 800e12}, 3e12)


class Clock:
    """Time that passes where a side works: at once on the host, `gpu` seconds when it is waited for."""

    def __init__(self):
        self.now, self.pending = 0.0, 0.0

    def side(self, *seconds):
        """A call that takes these times in turn, on the GPU."""
        times, made = list(seconds), iter(range(10 ** 9))

        def call():
            self.pending += times[next(made) % len(times)]
        return call

    def synchronize(self):
        self.now, self.pending = self.now + self.pending, 0.0


def test_times_are_medians_of_what_the_gpu_took():
    clock = Clock()
    taken = medians({OURS: clock.side(0.25), EAGER: clock.side(1.0)}, clock.synchronize, 5, lambda: clock.now)
    assert taken == {OURS: 0.25, EAGER: 1.0}


def test_short_calls_are_timed_in_bulk():
    clock, calls = Clock(), []

    def call():
        calls.append(1)
        clock.pending += 1e-4
    assert medians({OURS: call}, clock.synchronize, 3, lambda: clock.now)[OURS] == pytest.approx(1e-4)
    assert len(calls) == 3 + 2 + 3 * round(gpu_time.LEAST / 1e-4)


def test_shares_ratios_and_json_by_hand():
    row = Row("step a", "bf16", {OURS: 0.004, EAGER: 0.010, AMP: 0.002}, Floor(8e11, 3e9), 128, ("a note",))
    assert row.ratio(EAGER) == 2.5 and row.ratio(AMP) == 0.5 and row.ratio(COMPILED) is None
    assert LIMITS.share(row.floor, "bf16", 0.004) == (0.25, "F") or LIMITS.share(row.floor, "bf16", 0.004) == (0.25, "C")
    assert LIMITS.share(Floor(0, 3e9), "fp32", 0.002) == (0.5, "C") and LIMITS.share(Floor(1e11), "fp32", 0.004) == (0.5, "F")
    assert LIMITS.share(Floor(1e11), "tf32", 1.0) is None
    written = row.as_json(LIMITS)
    assert written["ours"] == 4 and written["peers"] == {EAGER: 10, AMP: 2} and written["of_floor"] == 0.25
    assert written["images_per_second"][OURS] == 32000 and json.loads(json.dumps(written)) == written


def test_bars():
    bars = [Bar("a step", "step a fp32", EAGER, 3.0), Bar("a copy", "relu fp32", COPY, 0.85), Bar("absent", "b fp32", CUBLAS, 0.5)]
    rows = [Row("step a", "fp32", {OURS: 0.001, EAGER: 0.0031}), Row("relu", "fp32", {OURS: 0.002}, Floor(0, 4.8e9))]
    reached = judge(rows, LIMITS, bars)
    assert [verdict.value for verdict in reached] == pytest.approx([3.1, 0.8, None])
    assert [verdict.word for verdict in reached] == ["holds", "missed", "not measured"]
    lines = gpu.bar_lines(reached).splitlines()
    assert lines[1].split()[-3:] == ["3.10", "3.0", "holds"] and lines[2].split()[-1] == "missed" and lines[3].endswith("not measured")


def test_every_bar_is_of_a_work_that_is_measured():
    measured = {f"{work} {precision}" for work, precision, _ in gpu.jobs(True, True)}
    assert {bar.row for bar in BARS} <= measured and len(measured) == 14


def test_a_line_of_the_table():
    row = Row("step a", "bf16", {OURS: 0.004, EAGER: 0.010}, Floor(8e11), 128)
    assert gpu.line(row, LIMITS).split() == ["step", "a", "bf16", "4.000", "10.000", "32,000", "25", "%", "F"]


def test_a_work_that_fails_and_one_for_which_no_time_is_left_are_said(monkeypatch):
    def made():
        raise RuntimeError("out of luck")
    monkeypatch.setattr(gpu, "jobs", lambda peers, compiles: [("a", "fp32", made), ("b", "fp32", made)])
    clock = iter([0.0, 1.0, 100.0])
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: next(clock))
    said: list[str] = []
    rows, problems = gpu.measure(DefinedBackend(), None, gpu.arguments(["--seconds", "10"]), LIMITS, said.append)
    assert rows == [] and problems == ["a fp32: RuntimeError: out of luck", "b fp32: no time was left"]
    assert said == ["a fp32 was not measured; see below"]


def test_the_command_prints_a_table_and_writes_what_it_measured(stub, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "the_torch", lambda: (_ for _ in ()).throw(ImportError()))
    monkeypatch.setattr(gpu, "limits_of", lambda at, torch: Limits({}, 3e12))
    monkeypatch.setattr(gpu, "launch_seconds", lambda at: 2.5e-6)
    monkeypatch.setattr(gpu_works, "MAPS", (1, 6, 6, 4))
    monkeypatch.setattr(gpu, "jobs", lambda peers, compiles: [("relu", "fp32", lambda: gpu_works.streamed("relu", peers))])
    assert gpu.main(["--json", str(tmp_path / "found.json"), "--samples", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tinygradconv and no PyTorch that can use the GPU, Stub\nmeasured: copy 3.00 TB/s; a launch takes 2.5 µs")
    assert "relu fp32" in said and said.count("not measured") == len(BARS) - 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["gpu"] == "Stub" and [row["work"] for row in found["rows"]] == ["relu fp32"] and len(found["bars"]) == len(BARS)
    assert gpu.main(["--check", "--samples", "1"]) == 1                       # the stub is no match for a GPU


@pytest.fixture
def stub(monkeypatch):
    """A back end for "cuda" that computes here."""
    made = DefinedBackend()
    monkeypatch.setitem(backends._made, "cuda", made)
    return made


def test_our_captured_step_learns_what_pytorch_learns(stub, monkeypatch):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setitem(gpu_works.STEPS, "small", gpu_works.Step(gpu_works.of_zoo("lenet5"), "lenet5", 4, "fp32", False))
    with gpu_works.torch_precision("fp32"):
        job = gpu_works.step("small", True, False)
        job.verify()
    assert set(job.sides) == {OURS, EAGER, AMP} and job.images == 4
    assert [call[0] for call in stub.driver.calls].count("start") == 2


@pytest.mark.parametrize("name", ["batch norm + relu", "max pool", "average pool", "add", "relu"])
def test_what_only_streams_is_what_pytorch_computes(stub, monkeypatch, name):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(gpu_works, "MAPS", (2, 6, 6, 4))
    gpu_works.streamed(name, True).verify()


def test_a_product_is_checked(stub):
    gpu_works.product(24, "fp32", False).verify()
    job = gpu_works.product(24, "fp32", False)
    stub.run = lambda *a, **k: None
    with tgc.settings(poison=True), pytest.raises(gpu_works.WrongResultError):
        job.verify()


def test_the_networks_are_ours_in_torch():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")
    from benchmarks.peers.torch_models import MODELS
    for name in ("resnet18 of CIFAR", "resnet50"):
        what = gpu_works.STEPS[name]
        spec, shape = what.spec()
        with torch.device("meta"):
            theirs = sum(p.numel() for p in MODELS[what.torch]().parameters())
        assert sum(math.prod(parameter.shape) for parameter in infer(spec, shape).parameters.values()) == theirs, name


@pytest.mark.skipif(not obstacles(), reason="there is a GPU")
def test_without_a_gpu_it_says_why():
    done = subprocess.run([sys.executable, "-m", "benchmarks.peers", "gpu"], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and done.stderr.startswith("nothing was measured: to('cuda'): ") and not done.stdout


@pytest.mark.skipif(not obstacles(), reason="there is a GPU")
def test_the_one_command_says_what_was_skipped_and_why(tmp_path):
    done = subprocess.run(["bash", "benchmarks/gpu_check.sh", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()][2:]
    assert [row[:2] for row in rows] == [[part, "skipped"] for part in ("build", "doctor", "kernels", "tests", "peers", "sanitizer")]
    assert obstacles()[0][:40] in done.stdout
    assert np.all([not path.name.startswith("gpu-check") for path in ROOT.iterdir()])
