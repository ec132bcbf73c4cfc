"""Which algorithm computes a convolution: a function of shape and settings, unless tuning is asked for."""
from __future__ import annotations

import json

import numpy as np
import pytest
from tinygradconv.kernels import KERNELS

import tinygradconv as tgc
from tinygradconv.backends import CPU, choice
from tinygradconv.geometry import Conv2dGeometry

FLOAT = np.dtype(np.float32)
NAMES = ("conv2d_forward", "conv2d_grad_input", "conv2d_grad_weight")


def geometry(N, side, C, O, kernel_size=3, **options):
    return Conv2dGeometry.of("test", (N, side, side, C), kernel_size, O=O, **{"stride": 1, "padding": 1, **options})


@pytest.fixture
def table():
    """An empty tuning table, put back afterwards."""
    before = choice.tuned()
    choice.restore({})
    yield
    choice.restore(before)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("shape", [(8, 56, 64, 64), (8, 28, 128, 128), (128, 32, 16, 16), (2, 14, 512, 512)])
def test_the_3x3_layers_of_resnets_go_by_winograd_unless_exact(kernel, shape):
    geo = geometry(*shape)
    assert choice.choose(kernel, geo, FLOAT, "v3", False) == kernel.replace("conv2d", "winograd")
    assert choice.choose(kernel, geo, FLOAT, "v3", True) == kernel


@pytest.mark.parametrize("geo", [geometry(8, 56, 64, 64, stride=2), geometry(8, 56, 64, 64, kernel_size=1, padding=0),
                                 geometry(8, 56, 64, 64, dilation=2), geometry(8, 56, 64, 64, groups=2), geometry(8, 56, 3, 64),
                                 geometry(64, 5, 64, 64), geometry(1, 7, 64, 64)])
def test_where_winograd_cannot_or_does_not_pay_it_is_not_chosen(geo):
    for kernel in NAMES:
        assert choice.choose(kernel, geo, FLOAT, "v3", False) == kernel


def test_the_gradient_of_weights_needs_more_tiles():
    geo = geometry(2, 7, 512, 512)
    assert [choice.choose(kernel, geo, FLOAT, "v3", False) for kernel in NAMES] == ["winograd_forward", "winograd_grad_input", NAMES[2]]


def test_float64_is_for_checks_and_stays_direct():
    assert choice.choose("conv2d_forward", geometry(8, 56, 64, 64), np.dtype(np.float64), "v3", False) == "conv2d_forward"


def test_every_alternative_takes_the_same_arguments():
    for kernel, others in choice.ALTERNATIVES.items():
        for name in others:
            assert KERNELS[name].arguments == KERNELS[kernel].arguments, name


def forward(x, w, **settings):
    with tgc.settings(**settings):
        return tgc.conv2d(x, w, padding=1).numpy()


def test_exact_changes_the_last_bits_only(rng):
    x, w = rng.standard_normal((2, 16, 16, 32)).astype(np.float32), rng.standard_normal((3, 3, 32, 24)).astype(np.float32)
    want = forward(x.astype(np.float64), w.astype(np.float64))
    fast, exact = forward(x, w), forward(x, w, exact=True)
    assert (fast != exact).any()
    assert np.abs(exact - want).max() < np.abs(fast - want).max() < 1e-5 * np.abs(want).max()


def test_tuning_keeps_the_fastest_and_can_be_repeated(rng, table, monkeypatch):
    seconds = {"conv2d_forward": 2.0, "winograd_forward": 1.0}
    timed = []

    def pretend(run, name):
        run(name)
        timed.append(name)
        return seconds[name]
    monkeypatch.setattr(choice, "_seconds", pretend)
    x, w = rng.standard_normal((1, 6, 6, 3)).astype(np.float32), rng.standard_normal((3, 3, 3, 4)).astype(np.float32)
    first = forward(x, w, tune=True)
    found = json.loads(json.dumps(choice.tuned()))
    assert list(found.values()) == ["winograd_forward"] and sorted(timed) == sorted(seconds)
    choice.restore(found)
    np.testing.assert_array_equal(forward(x, w, tune=True), first)
    assert len(timed) == 2                                   # the table answered
    seconds["winograd_forward"] = 3.0
    choice.restore({})
    np.testing.assert_array_equal(forward(x, w, tune=True), forward(x, w, exact=True))
    assert forward(x, w, tune=True, exact=True).shape == first.shape and len(choice.tuned()) == 1       # nothing to choose from: not timed


def test_tuning_times_real_calls(rng, table):
    forward(rng.standard_normal((1, 8, 8, 16)), rng.standard_normal((3, 3, 16, 16)), tune=True)
    assert set(choice.tuned().values()) <= {"conv2d_forward", "winograd_forward"} and len(choice.tuned()) == 1


def test_a_table_of_another_version_is_refused(table):
    with pytest.raises(ValueError, match="restore: 'a call' names the kernel 'strassen', which does not exist; tune again"):
        choice.restore({"a call": "strassen"})


def test_an_algorithm_can_be_asked_for(rng):
    geo = geometry(1, 5, 2, 3)
    x, g = rng.standard_normal(geo.x_shape), rng.standard_normal(geo.y_shape)
    results = []
    for algorithm in ("conv2d_grad_weight", "winograd_grad_weight"):
        results.append(np.full(geo.w_shape, np.nan))
        CPU.run("conv2d_grad_weight", x, g, results[-1], geo, algorithm=algorithm)
    np.testing.assert_allclose(results[0], results[1], atol=1e-12)
