"""Times and joules per image: counters that are made up, samples that are gone on with, and a machine that lets nobody read energy."""
from __future__ import annotations

import json
import types

import pytest

import tinygradconv as tgc
from tinygradconv import cli, experiments
from tinygradconv.experiments import cost, energy
from tinygradconv.experiments.results import Results


def domain(root, name, said, microjoules, end=1000_000_000):
    folder = root / name
    folder.mkdir(parents=True)
    for file, value in (("name", said), ("energy_uj", microjoules), ("max_energy_range_uj", end)):
        (folder / file).write_text(f"{value}\n")
    return folder


def test_the_packages_are_added_up_and_their_parts_are_not(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 1_000_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 900_000)
    meter = energy.Rapl(tmp_path)
    before = meter.read()
    assert before == [5.0, 1.0]
    (first / "energy_uj").write_text("7500000")
    (second / "energy_uj").write_text("1250000")
    assert meter.between(before, meter.read()) == pytest.approx(2.75)


def test_a_counter_that_starts_anew_is_understood(tmp_path):
    folder = domain(tmp_path, "intel-rapl:0", "package-0", 99_000_000, end=100_000_000)
    meter = energy.Rapl(tmp_path)
    before = meter.read()
    (folder / "energy_uj").write_text("2000000")
    assert meter.between(before, meter.read()) == pytest.approx(3.0)


def test_without_counters_it_is_said_plainly(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="no package's energy_uj under .* can be read"):
        energy.Rapl(tmp_path)
    domain(tmp_path, "intel-rapl:0:0", "core", 1)
    with pytest.raises(OSError, match="no package's"):
        energy.Rapl(tmp_path)
    monkeypatch.setattr(energy.Rapl, "__init__", lambda self: (_ for _ in ()).throw(OSError("no counters")))
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert energy.meters() == ([], ["no counters", "NVML is not there (pip install nvidia-ml-py)"])


class Library(types.SimpleNamespace):
    """As much of pynvml as is used: two cards, in millijoules."""

    class NVMLError(Exception):
        pass

    def __init__(self, counts):
        self.counts = counts

    def nvmlInit(self):
        if not self.counts:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self):
        return len(self.counts)

    def nvmlDeviceGetHandleByIndex(self, i):
        return i

    def nvmlDeviceGetTotalEnergyConsumption(self, card):
        return self.counts[card]


def test_cards_count_in_millijoules():
    library = Library([1000, 500])
    meter = energy.Nvml(library)
    before = meter.read()
    library.counts = [3000, 750]
    assert before == [1.0, 0.5] and meter.between(before, meter.read()) == pytest.approx(2.25)
    with pytest.raises(OSError, match="NVML cannot be read .Driver Not Loaded."):
        energy.Nvml(Library([]))


def row(number: int, name: str, seconds: float, calls: int = 0, joules: float | None = None) -> dict[str, str]:
    counted = ["" if joules is None else str(joules), ""]
    return dict(zip(cost.COLUMNS, [str(number), name, str(seconds), str(calls), *counted]))


def test_figures_by_hand():
    """Batches of 2: 4, 8 and 6 ms per call are 2, 4 and 3 per image; 3 J in 5 calls are 0.3 J per image, which is 100 W at 3 ms."""
    rows = [row(i, "vgg16", seconds, 5, 3.0) for i, seconds in enumerate((0.004, 0.008, 0.006))]
    got = cost.figures(rows, 2)
    rapl = energy.Rapl.name
    assert got == {"vgg16 ms": pytest.approx(2), "vgg16 median ms": pytest.approx(3), f"vgg16 J: {rapl}": pytest.approx(0.3),
                   f"vgg16 W: {rapl}": pytest.approx(100)}
    assert cost.figures([row(0, "vgg16", 0.004)], 1) == {"vgg16 ms": pytest.approx(4), "vgg16 median ms": pytest.approx(4)}


def test_power_is_compared_where_there_is_any():
    name = energy.Rapl.name
    assert cost.power_ratio(("a", "b"))(Results({}, {f"a W: {name}": 50, f"b W: {name}": 60})) == pytest.approx(1.2)
    small = experiments.get("cost").form("small")
    with pytest.raises(LookupError):
        small.expectations[-1].measure(Results({}, {"alexnet ms": 1}))


def test_a_round_that_was_not_finished_is_measured_again(tmp_path):
    path, names = tmp_path / "samples.csv", ("a", "b")
    assert cost.whole_rounds(path, names) == []
    lines = [",".join(cost.COLUMNS), "0,a,0.1,0,,", "0,b,0.2,0,,", "1,a,0.3,0,,", "1,b,0."]
    path.write_text("\n".join(lines))
    assert [(one["round"], one["model"]) for one in cost.whole_rounds(path, names)] == [("0", "a"), ("0", "b")]


def test_the_quick_form_tells_times_and_that_energy_cannot_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(energy, "meters", lambda: ([], ["no counters here"]))
    folder = tmp_path / "cost"
    with tgc.settings(threads=1):
        assert cli.main(["experiment", "cost", "--quick", "--out", str(folder)]) == 0
    said = json.loads((folder / "report.json").read_text())
    assert 0 < said["measured"]["lenet5 ms"] <= said["measured"]["lenet5 median ms"]
    text = (folder / "report.md").read_text()
    assert "Energy could not be read: no counters here." in text and "| resnet20 | 32×32×3 | 269,722 | 40,551,040 |" in text
    assert len((folder / "samples.csv").read_text().splitlines()) == 1 + 2 * 2


def test_joules_are_counted_while_calls_are_repeated(monkeypatch):
    class Made:
        name = energy.Rapl.name
        joules = 0.0

        def read(self):
            return [Made.joules]

        def between(self, before, after):
            return after[0] - before[0]

    def call():
        Made.joules += 0.5
    took, calls, joules = cost.sample(call, [Made()], 0.002)
    assert calls >= 1 and took > 0 and joules == {energy.Rapl.name: pytest.approx(0.5 * calls)}
    assert cost.sample(call, [], 0.002)[1:] == (0, {})
