"""Which kernel a work comes down to."""
from __future__ import annotations

from typing import TYPE_CHECKING

from tinygradconv.kernels import KERNELS

from tinygradconv.backends import CPU

if TYPE_CHECKING:
    from .works import Work


def last_kernel(work: Work) -> tuple[str, str]:
    """(folder, name) of the kernel that is the last to be called for the first time: the one that runs, where it stands in for another."""
    CPU._calls.clear()                             # how each kernel is called is remembered in the order of first calls
    work.call()
    name = list(CPU._calls)[-1]
    return KERNELS[name].folder, name
