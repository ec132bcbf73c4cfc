"""Every work that is measured, in the order of the table."""
from __future__ import annotations

from ..work import Work


def all_works() -> list[Work]:
    """All of them. Their modules are imported when asked for."""
    from .. import memory, scaling
    from . import conv, dispatch, inference, matmul, norm, pool, steps
    return [*steps.works(), *inference.works(), *conv.works(), *matmul.works(), *norm.works(), *pool.works(), *dispatch.works(),
            *memory.works(), *scaling.works()]
