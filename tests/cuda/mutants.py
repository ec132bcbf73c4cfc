"""Kernels with one mistake: a module of kernels made again from its source, with one piece of text replaced."""
from __future__ import annotations

import linecache
import types
from pathlib import Path


def mutant(module: types.ModuleType, old: str, new: str, count: int = 1) -> types.ModuleType:
    """The module with `old`, which must occur `count` times, replaced by `new`."""
    source = Path(module.__file__).read_text()
    assert source.count(old) == count, f"{old!r} occurs {source.count(old)} times in {module.__name__}"
    made = types.ModuleType(module.__name__)
    made.__package__ = module.__package__
    name = f"mutant of {Path(module.__file__).name}: {old!r} -> {new!r}"
    text = source.replace(old, new)
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    exec(compile(text, name, "exec"), made.__dict__)
    return made
