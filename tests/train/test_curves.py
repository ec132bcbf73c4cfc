"""Curves: the lines are the log's rows, names stand where no data are, the same rows give the same bytes, and no run fails of a picture."""
from __future__ import annotations

import itertools
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from tinygradconv.train import curves as module
from tinygradconv.train.curves import Curves, draw, heading
from tinygradconv.train.history import History
from tinygradconv.train.loop import train
from tinygradconv.train.panels import COLOURS, GAP, across, figure_of, spread
from tinygradconv.train.snapshot import Run

from ..spec.test_diagram_looks import EYES, apart, contrast
from . import toy


def history(name="run", epochs=6, steps=50, parts=2, final=90.0):
    """A made-up run: a row `parts` times an epoch, the last of them with a test accuracy, which ends at `final`."""
    rows = np.arange(1, epochs * parts + 1)
    whole = rows % parts == 0
    share = rows / len(rows)
    tested = np.where(whole, final - 60 * np.exp(-6 * share) + 60 * np.exp(-6), np.nan)
    return History(name, rows // parts * 1.0, rows * steps / parts, 0.1 * (1 - share), 2.3 * np.exp(-4 * share),
                   100 - 80 * np.exp(-5 * share), tested, rows * 3.0)


@pytest.fixture
def pyplot():
    """The figure of a test in the style in which it is drawn."""
    pytest.importorskip("matplotlib")
    with module._matplotlib():
        yield


def test_the_lines_are_the_rows(pyplot):
    one = history()
    accuracy, loss, rate = figure_of([one], "epoch", "").axes
    trained, tested = accuracy.lines
    whole = ~np.isnan(one.accuracy)
    halves = one.train_accuracy.reshape(6, 2).mean(1)                                # an epoch has two rows of 25 steps
    assert (trained.get_xdata() == [1, 2, 3, 4, 5, 6]).all() and trained.get_ydata() == pytest.approx(halves)
    assert (tested.get_xdata() == [1, 2, 3, 4, 5, 6]).all() and (tested.get_ydata() == one.accuracy[whole]).all()
    assert loss.lines[0].get_ydata() == pytest.approx(one.loss.reshape(6, 2).mean(1)) and (rate.lines[0].get_ydata() == one.rate).all()
    assert rate.get_xlabel() == "epoch (50 steps each)" and accuracy.get_ylabel() == "accuracy (%)"
    assert loss.get_yscale() == "log" and loss.get_ylabel() == "training loss (log scale)" and rate.get_ylabel() == "learning rate"
    assert [text.get_text() for text in accuracy.texts] == [f"training {halves[-1]:.2f} %", "test 90.00 %"]


def test_across_are_epochs_or_steps_or_minutes():
    whole, begun = history(), history(epochs=1, steps=40)
    begun.accuracy[:] = np.nan
    xs, said = across([whole, history(steps=80)], "epoch")
    assert said == "epoch" and xs[0][-1] == xs[1][-1] == 6
    assert across([whole], "step")[1] == "step" and across([whole, begun], "epoch")[1] == "step"      # no length of an epoch is known yet
    xs, said = across([whole], "time")
    assert said == "minutes of training" and xs[0][-1] == 12 * 3 / 60
    whole.seconds[3] = np.nan
    with pytest.raises(ValueError, match="run: its log does not say when"):
        across([whole], "time")


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_names_touch_neither_one_another_nor_the_data(pyplot, count):
    figure = figure_of([history(f"resnet{i}", epochs=4 + i, final=90 + i / 50) for i in range(count)], "epoch", "A title")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    written = []
    for panel in figure.axes:
        data = panel.get_window_extent(renderer)
        for note in panel.texts:
            box = super(type(note), note).get_window_extent(renderer)              # without the line that leads to it
            assert box.x0 > data.x1 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
            written.append(box)
    assert len(written) == (3 if count == 1 else 2 * count)
    for a, b in itertools.combinations(written, 2):
        assert a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1


def test_the_final_accuracy_is_in_view_and_the_beginning_may_be_below(pyplot):
    for one in (history(), history(epochs=60), history(epochs=1, parts=1)):
        panel = figure_of([one], "epoch", "").axes[0]
        low, high = panel.get_ylim()
        assert low < one.final < high and low < one.train_accuracy[-1] < high
        late = one.step > one.step[-1] / 4
        assert low < np.nanmin(one.accuracy[late]) and low < one.pieces(one.train_accuracy)[1][-len(one.step) // 4:].min()


@given(st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_spread_moves_as_little_as_can_be(places):
    gap, height = 12.0, 400.0
    found = np.sort(spread(places, gap, height))
    assert (np.diff(found) >= gap - 1e-9).all() and found[0] >= 0 and found[-1] <= height + 1e-9
    assert (np.argsort(places, kind="stable") == np.argsort(spread(places, gap, height), kind="stable")).all()
    steps = gap * np.arange(len(places))
    free = isotonic_regression(np.sort(places) - steps).x                            # SciPy's, bounded by clipping
    assert found == pytest.approx(np.clip(free, 0, height - steps[-1]) + steps)


def test_names_that_have_no_room_still_do_not_touch():
    assert spread([5.0, 5.0, 5.0], GAP, 10.0) == [0.0, GAP, 2 * GAP]


@pytest.mark.parametrize("eye", EYES)
def test_colours_differ_for_every_eye_and_letters_in_them_stand_out(eye):
    for a, b in itertools.combinations(COLOURS, 2):
        assert apart((a,), (b,), EYES[eye]) > 25, (a, b)
    assert min(contrast(colour, "#fff") for colour in COLOURS) >= 4.5


def test_the_same_rows_give_the_same_bytes_whatever_the_style_that_is_set(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    names = ["curves.png", "curves.svg", "curves.pdf"]
    draw([history()], [tmp_path / name for name in names], title="A title")
    first = [(tmp_path / name).read_bytes() for name in names]
    with matplotlib.rc_context({"lines.linewidth": 9, "svg.hashsalt": "other", "axes.facecolor": "red", "font.family": "no such font"}):
        draw([history()], [tmp_path / name for name in names], title="A title")
    assert [(tmp_path / name).read_bytes() for name in names] == first
    draw([history(final=90.01)], [tmp_path / "curves.svg"], title="A title")
    assert (tmp_path / "curves.svg").read_bytes() != first[1]
    assert not list(tmp_path.glob("*.new"))


def test_the_svg_is_text_and_says_neither_when_nor_by_what_it_was_made(tmp_path):
    pytest.importorskip("matplotlib")
    draw([history("a $b_{c$ <d> 漢")] * 2, [tmp_path / "a.svg"], title="<A> & $B")
    text = (tmp_path / "a.svg").read_text()
    words = [element.text for element in ElementTree.fromstring(text).iter() if element.tag.endswith("}text")]
    assert {"accuracy (%)", "a $b_{c$ <d> 漢 90.00 %", "<A> & $B", "test", "training"} <= set(words)
    assert not re.search(r"matplotlib v|<dc:date>|20[2-9]\d-\d\d", text)


@pytest.mark.parametrize(("options", "said"), [
    ({"histories": []}, "draw: there must be at least one run"),
    ({"over": "days"}, "draw: over must be 'epoch', 'step', 'time', got 'days'"),
    ({"files": ["a.gif"]}, r"the name of a picture must end in \.png, \.svg, \.pdf, got 'a\.gif'")])
def test_what_cannot_be_drawn_is_answered_before_a_file_is_written(tmp_path, options, said):
    given = {"histories": [history()], "files": ["a.svg"], **options}
    files = [tmp_path / name for name in given.pop("files")]
    with pytest.raises(ValueError, match=said.replace("'a", ".*a")):
        draw(given.pop("histories"), files, **given)
    assert not any(tmp_path.iterdir())


def toy_run(folder):
    run = Run.create(folder, {"model": "toy", "data": "stripes", "recipe": {"name": "mine"}, "seed": 5})
    try:
        return train(toy.SPEC.build((7, 7, 1), seed=5), toy.data(), toy.RECIPE, seed=5, run=run, callbacks=[Curves(run)])
    finally:
        run.close()


def test_a_run_ends_with_its_curves(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    at = toy_run(tmp_path / "run")
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "run" / "curves.svg").read_text()
    assert f">test {at.accuracy:.2f} %<" in text and ">toy on stripes, recipe mine, seed 5<" in text
    assert capsys.readouterr().err == ""
    assert heading({"seed": 5}) == ""


def test_without_matplotlib_a_run_says_so_in_one_line_and_is_well(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert toy_run(tmp_path / "run").epoch == 2
    said = capsys.readouterr().err
    assert said == ("tinygradconv: no curves were drawn: curves are drawn by matplotlib: pip install 'tinygradconv[viz]'. "
                    "Then `tinygradconv curves RUN` draws them\n")
    assert not list((tmp_path / "run").glob("curves*"))


def test_a_disk_that_is_full_at_the_end_does_not_fail_the_run(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")

    def full(path, data):
        raise OSError(f"cannot write {path}: No space left on device")
    monkeypatch.setattr(module, "write_whole", full)
    assert toy_run(tmp_path / "run").epoch == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"tinygradconv: no curves were drawn: cannot write .*curves.png: No space left on device\n", said)
