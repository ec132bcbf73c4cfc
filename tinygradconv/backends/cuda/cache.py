"""Compiled kernels on disk, so that the second process starts without compiling.

A file's name is a digest of all that decides its content: the bytecode of the kernel and of every function it calls, the constants they
close over, its signature and limits, the architecture, the compiler's parts. So nothing is ever out of date; a change
makes a new name. A file is written beside and renamed, so two processes may write the same one at once; one that is damaged is as good as
none, for its first line is a digest of the rest.
"""
from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygradconv.kernels.cuda.language import CudaKernel, DeviceFunction, Scalar, Words

from .closure import enclosed_by, globals_of
from .report import Compiled, Report
from .toolchain import versions

FORMAT = b"tinygradconv cubin 1 "


def folder() -> Path:
    """Where cubins are kept: $XDG_CACHE_HOME/tinygradconv/cubins, or ~/.cache/tinygradconv/cubins."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygradconv" / "cubins"


def key(kernel: CudaKernel, architecture: str, toolchain: dict[str, str] | None = None) -> str:
    """The name of what this kernel is compiled to."""
    said = [repr(sorted((versions() if toolchain is None else toolchain).items())), architecture, repr(kernel.parameters),
            repr((kernel.threads, kernel.min_blocks, kernel.registers)), *_described(kernel.function, set()), _compilers_text()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def load(name: str, at: Path | None = None) -> Compiled | None:
    """What is kept under a name; None where there is nothing, or nothing sound."""
    try:
        data = ((folder() if at is None else at) / f"{name}.cubin").read_bytes()
        head, rest = data.split(b"\n", 1)
        if head != FORMAT + hashlib.sha256(rest).hexdigest().encode():
            return None
        described, cubin = rest.split(b"\n", 1)
        facts = json.loads(described)
        return Compiled(facts["entry"], cubin, Report(**facts["report"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store(name: str, compiled: Compiled, at: Path | None = None) -> None:
    """Keep what a kernel was compiled to. A disk that cannot be written to is no error: the next process compiles again."""
    at = folder() if at is None else at
    described = json.dumps({"entry": compiled.entry, "report": compiled.report.as_dict()}).encode()
    rest = described + b"\n" + compiled.cubin
    beside = None
    try:
        at.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=name[:16], suffix=".new", dir=at)
        with os.fdopen(handle, "wb") as file:
            file.write(FORMAT + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        os.replace(beside, at / f"{name}.cubin")
    except OSError:
        if beside is not None:
            with contextlib.suppress(OSError):
                os.unlink(beside)


def cached(compile: Callable[[CudaKernel, str], Compiled], kernel: CudaKernel, architecture: str, at: Path | None = None) -> Compiled:
    """What `compile(kernel, architecture)` makes, from the disk where it has been made before."""
    name = key(kernel, architecture)
    found = load(name, at)
    if found is None:
        found = compile(kernel, architecture)
        store(name, found, at)
    return found


@functools.cache
def _compilers_text() -> str:
    """Our own part of the compiler: the modules with the PTX of instructions (which of them a kernel uses is not asked), and ours."""
    from tinygradconv import kernels
    words = (Path(kernels.__file__).parent / "cuda" / f"{name}.py" for name in ("intrinsics", "assembly", "warpgroup"))
    return "\n".join(file.read_text() for file in (*words, Path(__file__).with_name("compiler.py")))


def _described(function: types.FunctionType, seen: set[int]) -> Iterator[str]:
    """Lines that differ wherever two functions, or what they use, compute differently; comments and line numbers are not in them."""
    if id(function) in seen:                                     # a function that calls itself, or is used twice
        return
    seen.add(id(function))
    yield from _code(function.__code__)
    for name, value in (*globals_of(function).items(), *enclosed_by(function).items()):
        yield from _value(name, value, seen)


def _code(code: types.CodeType) -> Iterator[str]:
    """The instructions and their tables, of a function and of those defined in it."""
    plain = [constant for constant in code.co_consts if not isinstance(constant, types.CodeType)]
    yield repr((code.co_name, code.co_code, [_text(constant) for constant in plain], code.co_names, code.co_varnames,
                code.co_freevars, code.co_cellvars, code.co_flags, code.co_exceptiontable))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code(constant)


def _value(name: str, value: Any, seen: set[int]) -> Iterator[str]:
    """What a name stands for: functions by what they do, the language's words and modules by their name, constants by their value."""
    if isinstance(value, DeviceFunction):
        value = value.function
    if isinstance(value, types.FunctionType):
        yield f"{name} is a function"
        yield from _described(value, seen)
    elif isinstance(value, types.ModuleType | types.BuiltinFunctionType | type | Words):
        yield f"{name} is {getattr(value, '__name__', type(value).__name__)}"
    else:
        yield f"{name} = {_text(value)}"


def _text(value: Any) -> str:
    """A constant with its type, the same in every process."""
    if isinstance(value, frozenset | set):
        return f"{type(value).__name__} {sorted(map(_text, value))}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} {[_text(item) for item in value]}"
    return f"{type(value).__name__} {value.name if isinstance(value, Scalar) else value!r}"


__all__ = ["cached", "folder", "key", "load", "store"]
