"""Every table of the lecture, computed by the engine, beside what the slides print.

>>> from tinygradconv.explain import lecture
>>> print(lecture.table("vgg16"))                                # doctest: +SKIP

`tinygradconv tables lecture` prints them all. Where a slide is wrong both numbers are there, and the reason.
"""
from __future__ import annotations

import difflib
from collections.abc import Callable

from tinygradconv.spec.table import Sheet

from .alexnet import ablations, alexnet
from .families import families, rivals, winners
from .inception import bottleneck, naive
from .lenet5 import lenet5
from .totals import totals
from .vgg16 import vgg16
from .windows import receptive_field, sizes

# In the order of the lecture.
TABLES: dict[str, Callable[[], Sheet]] = {
    "sizes": sizes, "lenet5": lenet5, "alexnet": alexnet, "rivals": rivals, "ablations": ablations, "winners": winners,
    "receptive_field": receptive_field, "vgg16": vgg16, "inception_naive": naive, "inception_bottleneck": bottleneck,
    "families": families, "totals": totals,
}


def table(name: str) -> Sheet:
    """The lecture's table called `name`, computed; ValueError lists the names and says which is closest."""
    if name not in TABLES:
        near = difflib.get_close_matches(str(name).lower(), TABLES, n=1)
        closest = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"the lecture has no table {name!r}{closest} Its tables are: {', '.join(TABLES)}")
    return TABLES[name]()


__all__ = ["TABLES", "table"]
