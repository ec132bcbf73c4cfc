"""What a function uses that is not its own: the globals that its code names, and the variables that it closes over."""
from __future__ import annotations

import types
from typing import Any


def named(code: types.CodeType) -> set[str]:
    """The names of globals and attributes in the code of a function and of those defined in it."""
    inner = (named(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*inner)


def globals_of(function: types.FunctionType) -> dict[str, Any]:
    """The globals that a function may use, by name, in alphabetical order."""
    return {name: function.__globals__[name] for name in sorted(named(function.__code__)) if name in function.__globals__}


def enclosed_by(function: types.FunctionType) -> dict[str, Any]:
    """The variables that a function closes over, by name, in the order of its code."""
    return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ())}


__all__ = ["enclosed_by", "globals_of"]
