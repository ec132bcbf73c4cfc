"""Optimiser steps: hand numbers, a hundred steps beside torch.optim; the Cython form against the definition."""
from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv._compiled import isa
from tinygradconv.kernels.update import reference

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.update_{variant}") for variant in isa.variants()}
EVERY = ["reference", *MODULES]


def kernel(variant, name):
    """The definition, or the Cython kernel for this instruction set."""
    return getattr(reference if variant == "reference" else MODULES[variant], name)


def normal(size, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("nesterov, wanted", [(False, [0.9, 0.71]), (True, [0.81, 0.539])])
def test_two_steps_of_momentum_by_hand(variant, nesterov, wanted):
    """g = 1 twice, rate 0.1, momentum 0.9: the velocity is 1, then 1.9."""
    p, velocity, seen = np.ones(1), np.zeros(1), []
    for _ in range(2):
        kernel(variant, "sgd")((np.ones(1),), (velocity,), (p,), 0.1, 0.9, 0.0, nesterov)
        seen.append(p[0])
    np.testing.assert_allclose(velocity, [1.9])
    np.testing.assert_allclose(seen, wanted)


@pytest.mark.parametrize("variant", EVERY)
def test_without_momentum_no_velocity_is_needed(variant):
    p = np.array([1.0, 2.0])
    kernel(variant, "sgd")((np.array([1.0, -1.0]),), (), (p,), 0.5, 0.0, 0.1, False)
    np.testing.assert_allclose(p, [1 - 0.5 * 1.1, 2 - 0.5 * -0.8])


@pytest.mark.parametrize("variant", EVERY)
def test_adams_first_step_is_the_rate_along_the_gradients_sign(variant):
    p, first, second = np.zeros(3), np.zeros(3), np.zeros(3)
    kernel(variant, "adam")((np.array([1e-3, -5.0, 0.0]),), (first,), (second,), (p,), 0.01, 0.9, 0.999, 1e-300, 0.0, 1, False)
    np.testing.assert_allclose(p, [-0.01, 0.01, 0], rtol=1e-12)
    np.testing.assert_allclose(first, [1e-4, -0.5, 0])
    np.testing.assert_allclose(second, [1e-9, 0.025, 0])


def beside_torch(variant, dtype, make, step):
    """(ours, torch's) parameters after 100 steps with gradients p − target plus noise, the same for both."""
    torch = pytest.importorskip("torch")
    p = normal(50, dtype)
    leaf = torch.tensor(p.copy(), requires_grad=True)
    optimiser = make(torch, [leaf])
    for number in range(1, 101):
        noise = normal(50, dtype, seed=number)
        leaf.grad = torch.tensor(leaf.detach().numpy() + noise)
        optimiser.step()
        step(p + noise, p, number)
    return p, leaf.detach().numpy()


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("options", [dict(momentum=0.0, weight_decay=0.0, nesterov=False),
                                     dict(momentum=0.9, weight_decay=1e-2, nesterov=False),
                                     dict(momentum=0.8, weight_decay=1e-3, nesterov=True)], ids=str)
def test_sgd_is_torchs(variant, dtype, tolerance, options):
    velocity = np.zeros(50, dtype)
    ours, theirs = beside_torch(variant, dtype, lambda torch, leaves: torch.optim.SGD(leaves, lr=0.05, **options),
                                lambda g, p, _: kernel(variant, "sgd")((g,), (velocity,), (p,), 0.05, *options.values()))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("decay, decoupled", [(0.0, False), (0.02, False), (0.02, True)])
def test_adam_is_torchs(variant, dtype, tolerance, decay, decoupled):
    first, second = np.zeros(50, dtype), np.zeros(50, dtype)
    name = "AdamW" if decoupled else "Adam"
    ours, theirs = beside_torch(
        variant, dtype, lambda torch, leaves: getattr(torch.optim, name)(leaves, lr=0.02, betas=(0.85, 0.99), weight_decay=decay),
        lambda g, p, step: kernel(variant, "adam")((g,), (first,), (second,), (p,), 0.02, 0.85, 0.99, 1e-8, decay, step, decoupled))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", MODULES)
@given(sizes=st.lists(st.sampled_from([0, 1, 7, 8, 9, 70, 4095, 4096, 4097, 9000]), max_size=5),
       dtype=st.sampled_from([np.float32, np.float64]), momentum=st.sampled_from([0.0, 0.9]), flag=st.booleans())
def test_compiled_steps_of_several_arrays_are_the_references(variant, sizes, dtype, momentum, flag):
    tolerance = dict(rtol=1e-5, atol=1e-6) if dtype == np.float32 else dict(rtol=1e-13, atol=1e-14)
    for name, arguments in ("sgd", (0.1, momentum, 0.01, flag)), ("adam", (0.1, 0.9, 0.99, 1e-8, 0.01, 3, flag)):
        states = []
        for which in variant, "reference":
            g, first, second, p = (tuple(np.abs(normal(size, dtype, seed)) for size in sizes) for seed in range(4))
            arrays = (first, p) if name == "sgd" else (first, second, p)
            kernel(which, name)(g, *arrays, *arguments)
            for size, array in zip(sizes, g):
                np.testing.assert_array_equal(array, np.abs(normal(size, dtype, 0)))
            states.append(sum(arrays, ()))
        for ours, theirs in zip(*states, strict=True):
            np.testing.assert_allclose(ours, theirs, **tolerance)


@pytest.mark.parametrize("variant", MODULES)
def test_thread_count_changes_no_bit(variant):
    results = []
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            g, first, second, p = (tuple(np.abs(normal(size, np.float32, seed)) for size in (70001, 3, 5000)) for seed in range(4))
            kernel(variant, "sgd")(g, first, p, 0.1, 0.9, 0.01, True)
            kernel(variant, "adam")(g, first, second, p, 0.1, 0.9, 0.99, 1e-8, 0.01, 3, False)
            results.append([a.tobytes() for a in (*first, *second, *p)])
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("variant", MODULES)
def test_arrays_that_do_not_belong_together_are_refused(variant):
    """The addresses are taken from the arrays, so a wrong one must not get so far."""
    p = np.zeros(4, np.float32)
    for wrong in (np.zeros(3, np.float32), np.zeros(4), np.zeros(8, np.float32)[::2]):
        for arrays in (((wrong,), (p,), (p,)), ((p,), (wrong,), (p,)), ((p, wrong), (p, p), (p, p))):
            with pytest.raises(ValueError, match="an optimiser's step|not C-contiguous"):
                kernel(variant, "sgd")(*arrays, 0.1, 0.9, 0.0, False)
    assert not p.any()


@pytest.mark.parametrize("variant", EVERY)
def test_what_is_read_only_is_read_but_not_written(variant):
    """A parameter over a file mapped for reading would end the process; a gradient may well be one."""
    fixed = np.ones(4, np.float32)
    fixed.flags.writeable = False
    p, v, w = (np.zeros(4, np.float32) for _ in range(3))
    for arrays in (((p,), (v,), (w,), (fixed,)), ((p,), (v,), (fixed,), (p,)), ((p,), (fixed,), (v,), (p,))):
        with pytest.raises(ValueError, match="read-only|readonly"):
            kernel(variant, "adam")(*arrays, 0.1, 0.9, 0.99, 1e-8, 0.0, 1, False)
        assert (fixed == 1).all()
    kernel(variant, "sgd")((fixed,), (), (p,), 0.5, 0.0, 0.0, False)
    assert (p == -0.5).all()
