"""Every form of every experiment: its networks fit its images, and every expectation says where it is from."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv import experiments
from tinygradconv.experiments.description import FORMS, Form, Net
from tinygradconv.experiments.images import Images, halve
from tinygradconv.experiments.removal import narrow_alexnet
from tinygradconv.models import lenet5
from tinygradconv.train.recipe import Recipe

SHAPES = {"digits": (28, 28, 1), "mnist": (28, 28, 1), "fashion-mnist": (28, 28, 1), "cifar-10": (32, 32, 3)}
ALL = [(name, form) for name, experiment in experiments.EXPERIMENTS.items() for form in experiment.forms]


@pytest.mark.parametrize(("name", "form"), ALL, ids=lambda value: value)
def test_every_network_fits_its_images(name, form):
    for net in experiments.get(name).form(form).nets:
        H, W, C = SHAPES[net.images.name]
        assert net.spec.infer((H >> net.images.halved, W >> net.images.halved, C)).output_shape == (10,), net.key
        net.recipe.make_schedule(1000)


@pytest.mark.parametrize(("name", "form"), ALL, ids=lambda value: value)
def test_every_expectation_says_what_it_is_and_where_it_is_from(name, form):
    for one in experiments.get(name).form(form).expectations:
        assert one.says and one.published and one.low < one.high and (one.source or one.published == "not published"), one


def test_every_experiment_has_every_form_and_its_papers():
    for name, experiment in experiments.EXPERIMENTS.items():
        assert experiment.name == name and tuple(experiment.forms) == FORMS and experiment.papers and experiment.asks


def test_a_form_is_the_same_value_each_time_it_is_made():
    """Or a folder could not be gone on with."""
    for name, form in ALL:
        first, second = (experiments.get(name).form(form) for _ in range(2))
        assert first.nets == second.nets


def test_unknown_names_say_which_there_are():
    with pytest.raises(ValueError, match=r"no experiment 'degredation'; did you mean 'degradation'\? The experiments are: lenet5, "):
        experiments.get("degredation")
    with pytest.raises(ValueError, match="cost has no form 'huge'; it has: quick, small, full"):
        experiments.get("cost").form("huge")
    with pytest.raises(ValueError, match="different keys, got a, a"):
        Form("", (Net("a", lenet5, Images("digits"), Recipe("sgd", 0.1, 1, 8)),) * 2, ())


def test_ranges_are_written_as_people_read_them():
    one = experiments.get("lenet5").form("quick").expectations[0]
    ranges = (0.65, 1.25, "%"), (0, float("inf"), "points"), (float("-inf"), 1, "%"), (-2, 2, "points"), (0.6, 1, "×")
    written = [dataclasses.replace(one, low=low, high=high, unit=unit).range for low, high, unit in ranges]
    assert written == ["0.65 … 1.25 %", "above 0 points", "below 1 %", "−2 … 2 points", "× 0.6 … 1"]


def test_halving_by_hand():
    images = np.array([[[1, 2, 255, 255], [3, 5, 255, 254]]], np.uint8)[..., None]
    assert halve(images).tolist() == [[[[3], [255]]]]                          # 11/4 = 2.75 and 1019/4 = 254.75
    assert halve(np.array([[[0, 1], [0, 1]]], np.uint8)[..., None]).item() == 1          # a half, upwards
    assert halve(images.astype(np.float32)).ravel().tolist() == [2.75, 254.75]
    with pytest.raises(ValueError, match="halve: images must have an even number of rows and columns, got 3×4"):
        halve(np.zeros((1, 3, 4, 1), np.uint8))


@given(st.integers(0, 2**31), st.sampled_from([(1, 2, 2, 1), (3, 4, 6, 3), (0, 2, 4, 2)]))
def test_halved_bytes_are_the_rounded_means(seed, shape):
    images = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    N, H, W, C = shape
    means = images.reshape(N, H // 2, 2, W // 2, 2, C).astype(float).mean((2, 4))
    assert (halve(images) == np.floor(means + 0.5)).all()


def test_a_part_of_a_data_set_has_its_own_mean():
    whole, part = Images("digits").load(), Images("digits", halved=1, train=100, test=30).load()
    assert (len(part.train), len(part.test), part.input_shape) == (100, 30, (14, 14, 1))
    assert part.mean[0] == pytest.approx(part.train.images.mean(), rel=1e-5) and part.mean != whole.mean
    assert part.name == "digits, at 1/2 of its size, the first 100 images" and str(Images("digits")) == "digits"
    assert (part.train.labels == whole.train.labels[:100]).all()


def test_a_removed_layer_takes_its_relu_and_leaves_the_rest():
    kinds = lambda spec: [step.kind for step in spec.infer((16, 16, 3)).steps]
    whole, without = kinds(narrow_alexnet()), kinds(narrow_alexnet((3, 4, 6, 7)))
    assert whole.count("Conv") == 5 and whole.count("Dense") == 3 and without.count("Conv") == 3 and without.count("Dense") == 1
    assert whole.count("MaxPool") == without.count("MaxPool") == 2 and whole.count("Dropout") == 2 and "Dropout" not in without
