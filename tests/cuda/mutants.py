"""Kernels with one mistake: a module of kernels made again from its source, with one piece of text replaced."""
from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import pytest

Change = tuple[types.ModuleType, str, str, int]


def mutant(module: types.ModuleType, old: str, new: str, count: int = 1) -> types.ModuleType:
    """The module with `old`, which must occur `count` times, replaced by `new`."""
    return _made_again(module, [(module, old, new, count)])


def mutant_of_several(modules: Sequence[types.ModuleType], *changes: Change) -> types.ModuleType:
    """The last of these modules, each of which may import from those before it: all made again, with (module, old, new, count) changed."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            made = _made_again(module, [change for change in changes if change[0] is module])
            patch.setitem(sys.modules, module.__name__, made)
    return made


def _made_again(module: types.ModuleType, changes: Sequence[Change]) -> types.ModuleType:
    text = Path(module.__file__).read_text()
    for _, old, new, count in changes:
        assert text.count(old) == count, f"{old!r} occurs {text.count(old)} times in {module.__name__}"
        text = text.replace(old, new)
    made = types.ModuleType(module.__name__)
    made.__package__ = module.__package__
    name = f"mutant of {Path(module.__file__).name}: {', '.join(f'{old!r} -> {new!r}' for _, old, new, _ in changes)}"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    exec(compile(text, name, "exec"), made.__dict__)
    return made
