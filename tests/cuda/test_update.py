"""CUDA kernels of update/, emulated, against the reference back end: all parameters in one launch."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda import table
from tinygradconv.kernels.update import cuda as kernels
from tinygradconv.kernels.update import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, KernelFault

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
SMALLER = kernels, "THREADS, EACH = 256, 4", "THREADS, EACH = 32, 4", 1
SMALL = mutant_of_several([kernels], SMALLER)              # less is to be emulated
SHAPES = [(3,), (), (2, 0), (150,), (2, 3)]
FLOATS = st.sampled_from([np.float32, np.float64])


class Counted(EmulatedDevice):
    """How often each kernel was launched."""

    def __init__(self):
        super().__init__()
        self.launched = {}

    def launch(self, kernel, grid, *arguments, **more):
        self.launched[kernel.name] = self.launched.get(kernel.name, 0) + 1
        super().launch(kernel, grid, *arguments, **more)


def arrays(count, dtype, shapes=SHAPES):
    """`count` tuples of one array for each parameter."""
    random = np.random.default_rng(0)
    return [tuple(np.asarray(random.standard_normal(shape), dtype) for shape in shapes) for _ in range(count)]


def copies(groups):
    return [tuple(array.copy() for array in group) for group in groups]


def same(got, expected, dtype):
    for ours, theirs in zip(got, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=20 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)


@settings(max_examples=5, deadline=None)
@given(st.sampled_from([0.0, 0.9]), st.sampled_from([0.0, 0.01]), st.booleans(), FLOATS)
def test_sgd(momentum, decay, nesterov, dtype):
    g, velocity, p = got = arrays(3, dtype)
    expected = copies(got)
    for function, more, (g, velocity, p) in ((SMALL.sgd, (DEVICE,), got), (reference.sgd, (), expected)):
        function(*more, g, velocity if momentum else (), p, 0.1, momentum, decay, nesterov)
    same(got, expected, dtype)


@settings(max_examples=5, deadline=None)
@given(st.sampled_from([1, 7, 2 ** 62]), st.sampled_from([0.0, 0.01]), st.booleans(), FLOATS)
def test_adam(step, decay, decoupled, dtype):
    got = arrays(4, dtype)
    for array in got[2]:
        np.abs(array, out=array)
    expected = copies(got)
    for function, more, (g, first, second, p) in ((SMALL.adam, (DEVICE,), got), (reference.adam, (), expected)):
        function(*more, g, first, second, p, 0.1, 0.9, 0.999, 1e-8, decay, step, decoupled)
    same(got, expected, dtype)


def test_whole_blocks():
    g, p = arrays(2, np.float64, [(3,), (1030,)])
    expected = [value - 0.5 * slope for value, slope in zip(p, g)]
    kernels.sgd(DEVICE, g, (), p, 0.5, 0.0, 0.0, False)
    assert all((value == wanted).all() for value, wanted in zip(p, expected))


def test_many_parameters_are_one_launch():
    device = Counted()
    g, p = arrays(2, np.float32, [(1 + i,) for i in range(20)])
    expected = [value - np.float32(0.5) * slope for value, slope in zip(p, g)]
    SMALL.sgd(device, g, (), p, 0.5, 0.0, 0.0, False)
    assert all((value == wanted).all() for value, wanted in zip(p, expected))
    assert device.launched == {"sgd_step": 1}


@pytest.mark.parametrize("count", [0, 1, 64, 130])
def test_a_table_is_written_64_numbers_at_a_time(count):
    device, numbers = Counted(), [2 ** 62 + i for i in range(count)]
    made = table.written(device, numbers)
    assert made.dtype == np.int64 and made.tolist() == numbers
    assert device.launched.get("write_numbers", 0) == -(-count // 64)


@pytest.mark.parametrize("name, options", [("SGD", {"momentum": 0.9, "decay": 0.01}), ("Adam", {}), ("RMSprop", {})])
def test_an_optimiser_does_there_what_it_does_here(emulated, name, options):
    import tinygradconv as tgc
    from tinygradconv.train import optim
    ends = []
    for device in ("cpu", "cuda"):
        tensors = [tgc.Tensor(array).to(device) for (array,) in arrays(4, np.float32, [(3, 5)])]
        p = tensors[0].detach().requires_grad_()
        made = getattr(optim, name)({"p": p}, **options)
        for g in tensors[1:]:
            made.update({"p": g}, 0.1)
        ends.append([p.numpy(), *made.state().values()])
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_nothing_to_learn_is_no_launch():
    device = Counted()
    kernels.sgd(device, (), (), (), 0.1, 0.0, 0.0, False)
    kernels.adam(device, *arrays(4, np.float32, [(0,), (3, 0)]), 0.1, 0.9, 0.999, 1e-8, 0.0, 1, False)
    assert not device.launched


@pytest.mark.parametrize("g, said", [(np.zeros(4, np.float32), "4 float32"), (np.zeros(3), "3 float64")])
def test_arrays_that_do_not_go_together_are_refused(g, said):
    p = (np.zeros(3, np.float32),)
    with pytest.raises(ValueError, match=rf"sgd: arrays must have the sizes \[3\] and one dtype, as the parameters have, got {said}"):
        kernels.sgd(DEVICE, (g,), (), p, 0.1, 0.0, 0.0, False)


def test_mutants_are_found():
    for old, new, fault in (("            if i < size:\n                slope[k], value[k] = g[i], p[i]\n",
                             "            if i <= size:\n                slope[k], value[k] = g[i], p[i]\n", InvalidAddress),
                            ("if table[middle] > block:", "if table[middle] >= block:", (AssertionError, KernelFault)),
                            ("before = table[row - 1] if row > 0 else 0", "before = 0", AssertionError),
                            ("d + momentum_share * v if nesterov", "d + momentum_share * d if nesterov", AssertionError),
                            ("reaches=[*chain(*arrays)]", "reaches=[*chain(*arrays[:2])]", InvalidAddress)):
        made = mutant_of_several([kernels], SMALLER, (kernels, old, new, 1))
        got = arrays(3, np.float32)
        expected = copies(got)
        reference.sgd(*expected, 0.1, 0.9, 0.0, True)
        with pytest.raises(fault):
            made.sgd(DEVICE, *got, 0.1, 0.9, 0.0, True)
            same(got, expected, np.float32)
