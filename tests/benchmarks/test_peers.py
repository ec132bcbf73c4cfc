"""The comparison with PyTorch: its arithmetic, table and JSON; what computes something else is refused. Nothing is timed here."""
from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers import bars, compare, memory, peak, protocol, scaling, table
from benchmarks.peers.work import OURS, Floor, Measured, Options, Row, Sides, Work, WrongResultError, row_of, timed
from benchmarks.peers.works import all_works, conv, matmul, norm, pool

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = Options(threads=1, samples=1, compiles=False)
MACHINE = peak.Machine(flops=100e9, bandwidth=10e9, threads=1)


@pytest.fixture
def torch():
    """PyTorch, or the test is skipped."""
    return pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")


def row(work: str, ours: float, **peers: float) -> Row:
    return Row(work, "ms", ours, peers, threads=2)


# ---- the arithmetic of ratios

def test_a_ratio_above_one_says_that_ours_is_faster_than_the_best_of_the_peers():
    measured = row("conv a", 2.0, torch=6.0, channels_last=5.0, NumPy=9.0)
    assert measured.best_peer == "channels_last" and measured.ratio == 2.5


def test_a_row_without_peers_has_no_ratio():
    measured = row("conv a", 2.0)
    assert measured.best_peer is None and measured.ratio is None and measured.ratio_of_medians is None


def test_the_ratio_of_medians_takes_the_best_median():
    measured = Row("conv a", "ms", 1.0, {"torch": 2.0, "NumPy": 3.0}, 1, {OURS: 2.0, "torch": 9.0, "NumPy": 5.0})
    assert measured.ratio_of_medians == 2.5


def test_json_has_the_form_that_others_read():
    assert row("conv a", 2.0, torch=5.0).as_json() == {
        "work": "conv a", "unit": "ms", "ours": 2.0, "peers": {"torch": 5.0}, "best_peer": "torch", "ratio": 2.5, "threads": 2}


def test_the_geometric_mean_by_hand():
    assert bars.geometric_mean([2.0, 8.0]) == pytest.approx(4.0) and bars.geometric_mean([3.0]) == pytest.approx(3.0)


# ---- bars

def test_bars_count_what_they_name():
    verdicts = bars.judge([row("conv a", 1.0, torch=4.0), row("conv b", 1.0, torch=1.0), row("pool a", 1.0, torch=0.5)])
    assert [(v.bar.says.split(",")[0], v.bar.statistic, round(v.value, 6), v.count, v.word) for v in verdicts] == [
        ("convolution", "geometric mean", 2.0, 2, "holds"), ("convolution", "lowest", 1.0, 2, "goal"),
        ("pooling", "geometric mean", 0.5, 1, "missed"), ("pooling", "lowest", 0.5, 1, "missed")]
    assert verdicts[1].lowest == "conv b"


def test_a_ratio_that_is_not_a_number_misses_its_bar():
    (verdict,) = bars.judge([row("step lenet5 b64", 1.0, torch=math.nan)])
    assert verdict.missed


def test_every_work_counts_for_a_bar_and_every_bar_has_a_work():
    names = [work.name for work in all_works()]
    assert len(names) == len(set(names))
    judged = bars.judge(row(name, 1.0, torch=1.0) for name in names)
    assert [verdict.bar for verdict in judged] == bars.BARS
    once = [verdict.count for verdict in judged if verdict.bar.statistic == bars.LOWEST]
    assert sum(once) == len(names)


def test_the_works_are_those_of_the_issue():
    assert (len(conv.SHAPES), len(matmul.SHAPES), len(norm.SHAPES), len(pool.SHAPES)) == (20, 8, 4, 4)


# ---- the protocol

def test_sides_take_turns_and_the_first_call_of_each_turn_is_not_timed():
    seen, now = [], [0.0]

    def side(name: str, costs: list[float]):
        def call() -> None:
            seen.append(name)
            now[0] += costs.pop(0)
        return call

    def pause(seconds: float) -> None:
        seen.append("pause")
        now[0] += 10 * protocol.SHORT                   # all that is short takes no more samples than were asked for

    sides = {"a": side("a", [9, 3, 9, 1, 9, 2]), "b": side("b", [9, 5, 9, 4, 9, 6])}
    times = protocol.take_turns(sides, 3, clock=lambda: now[0], pause=pause)
    assert seen == ["pause", "a", "a", "pause", "b", "b"] * 3
    assert times == {"a": (1, 2), "b": (4, 5)}


def test_short_works_get_more_samples_up_to_a_limit():
    calls = []
    protocol.take_turns({"a": lambda: calls.append(1)}, 9, clock=lambda: 0.0, pause=lambda seconds: None)
    assert len(calls) == 2 * protocol.MOST_SAMPLES


# ---- the command

def planted(name: str, ours: float, peers: dict[str, float]) -> Work:
    return Work(name, lambda options: Measured({OURS: ours, **peers}, floor=Floor(1e9, 1e6)))


def wrong(name: str) -> Work:
    def refuse() -> None:
        compare.same("y", np.ones(3), np.zeros(3) + 2, 1e-4)

    def never() -> None:
        raise AssertionError("a wrong work was timed")
    return timed(name, lambda options: Sides(never, {"torch": never}, refuse))


def run(monkeypatch, tmp_path, works: list[Work], *more: str) -> tuple[int, list]:
    monkeypatch.setattr(command, "all_works", lambda: works)
    monkeypatch.setattr(command, "examine", lambda threads: MACHINE)
    status = command.main(["cpu", "--json", str(tmp_path / "rows.json"), *more])
    return status, json.loads((tmp_path / "rows.json").read_text())


WORKS = [planted("step lenet5 b64", 10.0, {"torch": 25.0, "NumPy": 80.0}), planted("conv lenet_c1", 4.0, {"torch": 2.0})]


def test_the_table_and_the_file(monkeypatch, tmp_path, capsys, torch):
    status, rows = run(monkeypatch, tmp_path, WORKS)
    assert status == 0                                  # it measures, it does not judge
    assert [(r["work"], r["best_peer"], r["ratio"]) for r in rows] == [("step lenet5 b64", "torch", 2.5), ("conv lenet_c1", "torch", 0.5)]
    printed = capsys.readouterr().out
    assert "2.50" in printed and "100 % F" in printed and "holds" in printed and "missed" in printed


def test_only_some_rows(monkeypatch, tmp_path, torch):
    assert [r["work"] for r in run(monkeypatch, tmp_path, WORKS, "--only", "^conv")[1]] == ["conv lenet_c1"]
    with pytest.raises(SystemExit, match=r"--only 'dnn' matches no work"):
        command.main(["cpu", "--only", "dnn"])


def test_check_judges(monkeypatch, tmp_path, torch):
    assert run(monkeypatch, tmp_path, WORKS, "--check")[0] == 1
    assert run(monkeypatch, tmp_path, WORKS, "--check", "--only", "step")[0] == 0


def test_a_wrong_result_is_refused_and_the_others_are_measured(monkeypatch, tmp_path, capsys, torch):
    status, rows = run(monkeypatch, tmp_path, [wrong("pool a"), *WORKS])
    assert status == 1 and len(rows) == 2
    assert "pool a: WrongResultError: y: off by 5.0e-01 of its norm" in capsys.readouterr().err


def test_without_torch_the_command_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command.main(["cpu", "--only", "conv"]) == 2
    assert "pip install '.[peers]'" in capsys.readouterr().err


def test_importing_it_needs_no_torch_and_does_no_work():
    code = ("import importlib, pkgutil, sys; sys.modules['torch'] = None; import benchmarks.peers as p\n"
            "for m in pkgutil.walk_packages(p.__path__, 'benchmarks.peers.'): importlib.import_module(m.name)\n"
            "assert not {'jax', 'tinygrad', 'autograd', 'matplotlib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ---- the table

@pytest.mark.parametrize(("floor", "share"), [(Floor(2e9, 1e6), "20 % F"), (Floor(1e6, 50e6), "5 % C"), (Floor(), "")])
def test_the_share_of_the_peak_is_that_of_the_tighter_limit(floor, share):
    measured = Row("conv a", "ms", 100.0, {"torch": 100.0}, 1, {}, floor)
    assert table.share_of_peak(measured, MACHINE) == share


def test_lines_keep_their_columns():
    lines = [table.head().splitlines()[0], table.row_line(row("conv a", 1.0, torch=2.0), MACHINE)]
    at = lines[0].index("ratio") + len("ratio")
    assert lines[1][:at].endswith("2.00")


# ---- what is compared

def test_distance_by_hand():
    assert compare.distance(np.array([3.0, 4.0]), np.array([3.0, 3.0])) == pytest.approx(1 / math.sqrt(18))
    assert compare.distance(np.array([math.nan]), np.array([1.0])) == math.inf


def test_another_shape_is_another_result():
    with pytest.raises(WrongResultError, match=r"y: shape \(2,\), expected \(3,\)"):
        compare.same("y", np.ones(2), np.ones(3), 1.0)


@pytest.mark.parametrize("works", [conv, matmul, norm, pool], ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_the_smallest_of_each_kind_computes_what_torch_computes(works, torch):
    small = {conv: lambda: conv.sides(conv.SHAPES["lenet_c3"], OPTIONS), matmul: lambda: matmul.sides(8, 40, 12, OPTIONS),
             norm: lambda: norm.sides((4, 5, 5, 16), OPTIONS), pool: lambda: pool.sides("max", (2, 9, 9, 8), 3, 2, 1, OPTIONS)}
    sides = small[works]()
    sides.verify()
    assert {name for name in sides.peers if name.startswith("torch")} and sides.floor.nbytes > 0


def test_thirty_ops_are_thirty(torch):
    from benchmarks.peers.works import dispatch

    class Counting:
        calls = 0

        def __getattr__(self, name):
            def op(*arguments):
                Counting.calls += 1
                return arguments[0]
            return op

        def __mul__(self, other):
            Counting.calls += 1
            return self

    dispatch.thirty(Counting(), Counting(), Counting(), Counting())
    assert Counting.calls == 30
    dispatch.sides(OPTIONS).verify()


# ---- training steps

def steps(torch, name: str = "lenet5", batch: int = 8, layout: str = "contiguous_format"):
    from benchmarks.peers.torch_side import torch_weights
    from benchmarks.peers.training import OurStep, TorchStep, our_model
    model = our_model(name)
    return OurStep(model, batch), TorchStep(name, model, batch, torch_weights(model), layout)


@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
def test_a_step_learns_what_torchs_learns(torch, layout):
    from benchmarks.peers.training import verify
    ours, theirs = steps(torch, layout=layout)
    verify(ours, {"torch": theirs})


@pytest.mark.parametrize("change", ["weights", "momentum", "gradient", "labels"])
def test_a_wrong_step_is_refused(torch, change):
    from benchmarks.peers.training import verify
    ours, theirs = steps(torch)
    if change == "weights":
        with torch.no_grad():
            theirs.module[0].weight *= 1.01
    elif change == "momentum":
        theirs.optimizer.param_groups[0]["momentum"] = 0.5
    elif change == "gradient":
        theirs.module[3].weight.requires_grad_(False)
        theirs.module[7].weight.requires_grad_(False)
    else:
        theirs.labels = (theirs.labels + 1) % 10
    with pytest.raises(WrongResultError, match="not timed"):
        verify(ours, {"torch": theirs})


def test_a_model_of_another_architecture_is_refused(torch):
    from benchmarks.peers.torch_models import cifar_resnet
    from benchmarks.peers.torch_side import load, torch_weights
    from benchmarks.peers.training import our_model
    with pytest.raises(ValueError, match="the torch model is not ours: layer1.3"):
        load(cifar_resnet(20), torch_weights(our_model("resnet32")))


@pytest.mark.parametrize(("name", "parameters"), [("lenet5", 61_706), ("resnet20", 269_722), ("resnet110", 1_727_962),
                                                  ("resnet18", 11_689_512)])
def test_the_torch_models_have_the_published_number_of_parameters(torch, name, parameters):
    from benchmarks.peers.torch_models import MODELS
    assert sum(p.numel() for p in MODELS[name]().parameters()) == parameters


def test_a_step_of_resnet20_learns_what_torchs_learns(torch):
    from benchmarks.peers.training import verify
    ours, theirs = steps(torch, "resnet20", 4, "channels_last")
    verify(ours, {"torch": theirs})


def test_the_floor_of_a_convolution_and_a_dense_layer_by_hand():
    from benchmarks.peers.training import floor
    from tinygradconv.spec import Conv, Flatten
    from tinygradconv.spec import Dense as D
    model = (Conv(2, 3, bias=False) >> Flatten() >> D(5, bias=False)).build((4, 4, 1), seed=0)
    macs = [2 * 2 * 9 * 2, 8 * 5]                                    # 4×4 to 2×2 by 3×3, 1 channel to 2; 8 values to 5
    assert floor(model, 10, training=False).flops == 2 * 10 * sum(macs)
    assert floor(model, 10).flops == 2 * 10 * (3 * sum(macs) - macs[0])
    assert floor(model, 10, training=False).nbytes == 4 * (10 * ((16 + 8) + (8 + 5)) + 18 + 40)


def test_what_torch_cannot_compile_is_said(torch, monkeypatch):
    from benchmarks.peers import torch_side
    assert torch_side.compiled(abs, lambda made: None, OPTIONS) == (None, "")
    monkeypatch.setattr(torch_side.shutil, "which", lambda name: None)
    assert torch_side.compiled(abs, lambda made: None, Options(1)) == (None, "not compiled: torch.compile needs a C++ compiler")


# ---- peak, memory, scaling

def test_the_multiply_adds_of_this_machine_are_counted():
    chains = peak.compiled_chains()
    if chains is None:
        pytest.skip("needs a C compiler")
    function, fused = chains
    assert fused in (48, 96, 192)
    assert function(10_000_000, 0.5, 1.0) == pytest.approx(12 * 2.0)     # a = a/2 + 1 ends at 2, in each of 12 chains


@pytest.mark.skipif(not memory.MARK.exists(), reason="needs Linux's /proc")
def test_memory_that_was_taken_and_given_back_counts():
    before = memory.resident("VmRSS")
    memory.MARK.write_text("5")
    np.ones(1 << 24).sum()                                               # 128 MiB
    assert 120 << 20 < memory.resident("VmHWM") - before < 200 << 20


def test_slopes_by_hand():
    assert scaling.slope({1.0: 3.0, 2.0: 6.0, 4.0: 12.0}) == pytest.approx(1.0)
    assert scaling.slope({1.0: 1.0, 10.0: 100.0}) == pytest.approx(2.0)
    assert scaling.steepest({1.0: 1.0, 2.0: 2.0, 4.0: 16.0}) == pytest.approx(3.0)


def test_a_slope_of_the_limit_has_ratio_one():
    measured = row_of(Work("scaling a", lambda options: Measured({OURS: scaling.LIMIT, "limit": scaling.LIMIT})), OPTIONS)
    assert measured.ratio == 1.0
