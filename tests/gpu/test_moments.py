"""Sums that a convolution leaves for its batch norm, on the GPU: float64's statistics in each precision, and the same bits every time."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.backends import backend_named

from .cases import signed
from .derived import error

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]

# (x, w, options, launches of the batch norm). The last ones have so many tiles that another launch adds them up first.
SIZES = {"few tiles": ((2, 9, 11, 24), (3, 3, 24, 40), {"padding": 1}, 1), "odd channels": ((3, 9, 7, 3), (3, 3, 3, 5), {"stride": 2}, 1),
         "groups": ((4, 9, 9, 16), (1, 1, 8, 24), {"groups": 2}, 1), "many tiles": ((64, 40, 40, 8), (1, 1, 8, 32), {}, 2)}


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("size", SIZES)
def test_statistics_are_those_of_the_result(size, precision):
    x, w, options, launches = SIZES[size]
    x, w, bias, one = (tgc.Tensor(values, "float32").to("cuda") for values in (
        signed(*x), signed(*w, seed=1), np.full(w[-1], 1e4), np.ones(w[-1])))
    device, found = backend_named("cuda").device, []
    for _ in range(2):
        moments: dict = {}
        with tgc.settings(precision=precision, poison=True):
            y = tgc.conv2d(x, w, bias, moments=moments, **options)
            before = device.launches
            normal, mean, variance = tgc.batch_norm(y, one, 0 * one, moments=moments)
        assert device.launches - before - 1 == launches and not moments                # one is that of 0 * one
        found.append([array.numpy() for array in (normal, mean, variance)])
    assert all(np.array_equal(*both) for both in zip(*found))
    exact = y.numpy().astype(np.float64)
    for ours, theirs in zip(found[0][1:], (exact.mean((0, 1, 2)), exact.var((0, 1, 2)))):
        assert error([ours], [theirs]) <= 1e-6
    assert error([found[0][0]], [tgc.batch_norm(y, one, 0 * one)[0].numpy()]) <= 1e-5
