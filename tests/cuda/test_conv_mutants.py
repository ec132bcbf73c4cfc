"""What is found when the convolutions of CUDA kernels are a little wrong: one mistake in one of their modules at a time."""
from __future__ import annotations

from pathlib import Path

import pytest
from tinygradconv.kernels.conv import correlate, loaders
from tinygradconv.kernels.conv import cuda as kernels
from tinygradconv.kernels.cuda import core_tiles, engines, main_loop
from tinygradconv.kernels.cuda.emulator import InvalidAddress, KernelFault, Race

from .convolutions import check, fresh, geometry, small
from .mutants import mutant_of_several

__all__ = ["fresh", "small"]               # fixtures
WRONG = (InvalidAddress, AssertionError)

# (the module, its text, what stands there instead, what is found)
MUTANTS = {
    "no barrier before the first strips are read": (main_loop,
                                                    "        cuda.syncthreads()\n        now = 0", "        now = 0", KernelFault),
    "one half of shared memory only": (main_loop, "now = half - now", "now = 0", Race),
    "no barrier in the loop": (main_loop, "put_b(now + second, held_b)\n                cuda.syncthreads()",
                               "put_b(now + second, held_b)", KernelFault),
    "sums over strips that are still read": (core_tiles, f"        cuda.syncthreads(){' ' * 49}# nobody", "        # nobody", Race),
    "a tap above the image": (loaders, "uint32(where[0] + down) < uint32(height) and", "uint32(where[0] + down + 1) <= uint32(height) and",
                              WRONG),
    "a tap beside the image": (loaders, "uint32(where[1] + right) < uint32(width)", "uint32(where[1] + right) <= uint32(width)",
                               WRONG),
    "a pixel too many": (loaders, "iy if line < lines else FAR", "iy if line <= lines else FAR", WRONG),
    "a step of k too many": (loaders, "k < end and uint32", "k <= end and uint32", WRONG),
    "taps taken apart by the wrong number": (loaders, "ky = divided(tap, r_taps)", "ky = divided(tap, r_depth)", WRONG),
    "weights of the next tap": (loaders, "(tap - jy * taps) * right", "(tap - jy * taps + 1) * right", WRONG),
    "a row too many is stored": (correlate, "if i < lines and j < wide:\n            at", "if i <= lines and j < wide:\n            at",
                                 (InvalidAddress, Race)),
    "a column too many is stored": (correlate, "first + j, j + 1 < wide", "first + j, j + 1 <= wide", (InvalidAddress, Race)),
    "the other phase of a row": (correlate, "py + sy * down", "sy - 1 - py + sy * down", AssertionError),
    "phases that begin with the wrong tap": (correlate, "    first *= inverse\n", "", WRONG),
    "a tap of a phase too few": (correlate, "taps - first + apart - 1, apart", "taps - first, apart", AssertionError),
    "tiles that overlap": (correlate, "int32(i * rows), int32(j", "int32(i * (rows - 1)), int32(j", (Race, AssertionError)),
}
PREY = geometry((2, 7, 6, 3), (3, 2), 5, stride=(4, 3), padding=1, dilation=(2, 2))


def plant(monkeypatch, module, old, new):
    """The kernels with one mistake in one of their modules."""
    change = module, old, new, max(1, Path(module.__file__).read_text().count(old))
    module = core_tiles if module is main_loop else module                              # the one of its users that is tried here
    made = mutant_of_several([main_loop, module] if module is core_tiles else [module], change)
    for user in (engines, correlate, kernels):
        for name, value in list(vars(user).items()):
            if callable(value) and getattr(value, "__module__", None) == module.__name__ and hasattr(made, name):
                monkeypatch.setattr(user, name, getattr(made, name))
    for name in ("forward_tiles", "grad_input_tiles", "grad_weight_tiles"):
        monkeypatch.setattr(kernels, name, getattr(kernels, name).__wrapped__)          # not those that were made before


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name, small, monkeypatch):
    module, old, new, fault = MUTANTS[name]
    plant(monkeypatch, module, old, new)
    with pytest.raises(fault):
        check(PREY)


def test_the_kernels_are_right_where_their_mutants_are_not(small):
    check(PREY)
