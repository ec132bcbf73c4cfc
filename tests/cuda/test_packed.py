"""Large products of bfloat16, emulated: panels as they are to lie, and both kernels that multiply them."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.matmul import pack, packed, warpgroups

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, LostCopy, Race

from .mutants import mutant_of_several
from .rounding import check, normal, rounded

DEVICE = EmulatedDevice("bf16")


@pytest.mark.parametrize("lines, K, k_first", [(9, 68, True), (12, 65, False), (5, 7, True), (5, 7, False)])
def test_panels(lines, K, k_first):
    """Panel (line // 128, k // 64), row line % 128, piece k // 8 % 8 at the place of that number ^ row % 8, number k % 8."""
    x = normal(np.random.default_rng(K), 2, *((lines, K) if k_first else (K, lines)))
    words = pack.packed(DEVICE, x, lines, K, k_first, 128)
    assert words.shape == (2, 1, -(-K // 64), 4096)
    whole = np.zeros((2, 128, words.shape[2] * 64))
    whole[:, :lines, :K] = rounded(x if k_first else x.swapaxes(1, 2), "bf16")
    found = (words.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(2, -1, 128, 8, 8)
    for line in range(128):
        for piece in range(words.shape[2] * 8):
            assert (found[:, piece // 8, line, piece % 8 ^ line % 8] == whole[:, line, piece * 8:piece * 8 + 8]).all()


def multiply(module, kernel, M, N, K, bias=None):
    rng = np.random.default_rng(K)
    a, b, y = normal(rng, 1, M, K), normal(rng, 1, N, K), DEVICE.empty((1, M, N), np.float32)
    module.run(DEVICE, kernel, a, b, bias, y, False, True, 0)
    check(y if bias is None else y - bias, a, b.swapaxes(1, 2), "bf16")


@pytest.mark.parametrize("kernel", [packed.packed_product(), warpgroups.warpgroup_product()], ids=lambda kernel: kernel.name)
def test_a_product_that_goes_round_the_ring(kernel):
    multiply(packed, kernel, 100, 200, 64 * (packed.RING + 1) - 3, bias=np.zeros(200, np.float32))


MUTANTS = {
    "a wait that lets one more step be under way": ("ptx.cp_wait(1)", "ptx.cp_wait(2)", LostCopy),
    "no fence": ("            ptx.fence_async()\n", "", Race),
    "the other warpgroup's rows": ("s, at + own + k,", "s, at + (own ^ rows_of_one) + k,", AssertionError),
    "the next columns": ("at + PANEL + k)", "at + PANEL - 1024 + k)", AssertionError),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    old, new, fault = MUTANTS[name]
    made = mutant_of_several([warpgroups], (warpgroups, old, new, 1))
    with pytest.raises(fault):
        multiply(packed, made.warpgroup_product(), 100, 5, 20)


