"""The CPU back end: which kernel runs, on what, with which threads."""
from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.backends import CPU, backend_named, backend_of
from tinygradconv.backends.cpu import instruction_set
from tinygradconv.geometry import WindowGeometry

GEO = WindowGeometry.of("test", (2, 5, 6, 3), (3, 2), stride=2, padding=1)


def columns(x):
    cols = np.full(GEO.cols_shape, np.nan if x.dtype.kind == "f" else 77, x.dtype)
    CPU.run("im2col", x, cols, GEO)
    return cols


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_back_ends_run_the_same_kernel(rng, dtype):
    x = rng.standard_normal(GEO.x_shape).astype(dtype)
    compiled = columns(x)
    with tgc.settings(backend="reference"):
        np.testing.assert_array_equal(columns(x), compiled)


def test_dtypes_that_cython_does_not_take_run_as_the_definition(rng):
    x = rng.integers(0, 9, GEO.x_shape)
    np.testing.assert_array_equal(columns(x), columns(x.astype(np.float64)))


def test_inputs_that_are_not_contiguous_are_made_so(rng):
    x = rng.standard_normal((2, 6, 5, 3)).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(columns(x), columns(np.ascontiguousarray(x)))


def test_the_number_of_threads_changes_nothing(rng):
    x = rng.standard_normal(GEO.x_shape)
    results = []
    for threads in (1, 2, 5):
        with tgc.settings(threads=threads):
            results.append(columns(x))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_arrays_decide_their_back_end():
    assert backend_of(np.zeros(3)) is CPU and backend_named("cpu") is CPU
    with pytest.raises(TypeError, match="no back end works on arrays of type list"):
        backend_of([1.0])
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'tpu'"):
        backend_named("tpu")


def test_an_instruction_set_can_be_forced_and_a_wrong_one_is_refused():
    from tinygradconv._compiled import isa
    code = "from tinygradconv.backends.cpu import instruction_set; print(instruction_set())"
    for variant in isa.variants():
        done = subprocess.run([sys.executable, "-c", "import tinygradconv;" + code], env={**os.environ, "TGC_ISA": variant},
                              capture_output=True, text=True, check=True)
        assert done.stdout.strip() == variant
    assert instruction_set() in isa.variants()
    unrunnable = next((v for v in ("v4", "base") if v not in isa.variants()), None)
    if unrunnable:
        done = subprocess.run([sys.executable, "-c", "import tinygradconv;" + code], env={**os.environ, "TGC_ISA": unrunnable},
                              capture_output=True, text=True, check=False)
        assert f"TGC_ISA='{unrunnable}': this processor runs" in done.stderr


def test_openmp_is_told_to_sleep_and_the_environment_is_left_as_it_was():
    code = ("import os, numpy as np, tinygradconv as tgc\n"
            "tgc.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)))\n"
            "print(os.environ.get('GOMP_SPINCOUNT'))")
    free = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    for extra, expected in (({}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")):
        done = subprocess.run([sys.executable, "-c", code], env={**free, **extra}, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_memory_statistics_count_large_arrays_and_a_peak_can_be_begun_anew():
    before = tgc.memory_statistics(reset_peak=True)
    array = CPU.empty((1 << 20,), np.uint8)
    assert tgc.memory_statistics()["in_use"] - before["in_use"] == 1 << 20
    del array
    after = tgc.memory_statistics(reset_peak=True)
    assert after["in_use"] == before["in_use"] and after["peak"] >= before["in_use"] + (1 << 20)
    assert tgc.memory_statistics()["peak"] == before["in_use"]


def test_images_of_ever_new_sizes_leave_only_a_few_layouts_of_the_weights(rng):
    """A service that meets every batch size would else keep its weights once for each."""
    w = tgc.Tensor(rng.standard_normal((3, 3, 16, 16)).astype(np.float32))
    with tgc.no_grad():
        for batch in (*range(1, 13), 1, 12):
            x = rng.standard_normal((batch, 5, 4, 16)).astype(np.float32)
            y = tgc.conv2d(tgc.Tensor(x), w, padding=1).numpy()
            with tgc.settings(backend="reference"):
                np.testing.assert_allclose(y, tgc.conv2d(tgc.Tensor(x), w, padding=1).numpy(), atol=1e-4)
            assert 1 <= len(w.storage.packed(w.data)) <= 4
