"""Values within lists, tuples and dicts: what has the same structure, and the same structure with other values."""
from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same lists, tuples and dicts, with change(x) in the place of every x in them that is none of these."""
    if isinstance(value, (list, tuple)):
        items = [mapped(item, change) for item in value]
        return items if isinstance(value, list) else type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return {name: mapped(item, change) for name, item in value.items()} if isinstance(value, dict) else change(value)


def form(value: Any, describe: Callable[[Any], Hashable]) -> Hashable:
    """What two values share that have the same structure, and whose parts `describe` describes alike."""
    if isinstance(value, (list, tuple)):
        return type(value), tuple([form(item, describe) for item in value])
    if isinstance(value, dict):
        return dict, tuple(value), tuple([form(item, describe) for item in value.values()])
    return describe(value)


__all__ = ["form", "mapped"]
