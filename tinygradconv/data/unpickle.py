"""Reading the pickles of CIFAR's python archives without running them.

A pickle is a program for a stack machine, and Python's own machine calls whatever function the program names. This one knows only
the instructions that dicts, lists, tuples, texts, bytes and integers need, and the few names by which NumPy spells an array of
bytes. Even those are not called: stand-ins note their arguments, and the array is made at the end from checked sizes.

(Python Software Foundation, Lib/pickletools.py, which describes every instruction and takes the file apart here; protocols 2 to 4.)
"""
from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

NAMES = {"numpy.core.multiarray _reconstruct": "array", "numpy._core.multiarray _reconstruct": "array", "numpy ndarray": "ndarray",
         "numpy dtype": "dtype", "_codecs encode": "encode", "__builtin__ bytes": "bytes"}

_PUSH = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
         "BINBYTES8"}
_PUSH_PYTHON_2 = {"BINSTRING", "SHORT_BINSTRING"}                  # Python 2's str: bytes, which pickletools hands on as Latin-1
_CONSTANTS: dict[str, Callable[[], Any]] = {"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
                                            "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_METHODS = {"MARK", "MEMOIZE", "TUPLE", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "STACK_GLOBAL", "REDUCE", "BUILD"}


class _Name:
    """One of the allowed names, not what it names."""

    def __init__(self, what: str) -> None:
        self.what = what


class _Type:
    """Stands for a numpy.dtype."""

    def __init__(self, text: Any) -> None:
        self.text = text.decode("latin-1") if type(text) is bytes else text

    def build(self, state: Any) -> None:
        """Byte order and alignment, which say nothing about bytes."""


class _Array:
    """Stands for a numpy.ndarray until its state is known."""

    value: np.ndarray | None = None

    def build(self, state: Any) -> None:
        if type(state) is not tuple or len(state) != 5:
            raise ValueError("an array's state must have five parts")
        _, shape, dtype, fortran, values = state
        if type(dtype) is not _Type or dtype.text not in ("u1", "|u1"):
            raise ValueError(f"arrays must be unsigned bytes (u1), got {dtype.text if type(dtype) is _Type else type(dtype).__name__!r}")
        if type(shape) is not tuple or not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 4:
            raise ValueError("an array's shape must be up to four sizes")
        if type(values) is not bytes or prod(shape) != len(values):
            raise ValueError(f"an array of shape {shape} needs {prod(shape)} bytes, got "
                             f"{len(values) if type(values) is bytes else type(values).__name__}")
        self.value = np.frombuffer(values, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Machine:
    """The stack, the memo, and what each instruction does to them. ValueError, IndexError or KeyError: the program is not sound."""

    def __init__(self, budget: int) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []                                  # how long the stack was at each mark
        self.memo: dict[int, Any] = {}
        self.budget = budget                                        # bytes that may be made of texts

    def step(self, name: str, argument: Any) -> None:
        """One instruction, by the name that pickletools gives it."""
        if name in _PUSH:
            self.stack.append(argument)
        elif name in _PUSH_PYTHON_2:
            self.stack.append(argument.encode("latin-1"))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop(_TUPLES[name])))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            self.stack.append(named(argument))
        elif name in _METHODS:
            getattr(self, name.lower())()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it has the instruction {name}, which no table of images needs; nothing of it was run")

    def pop(self, count: int) -> list[Any]:
        """The last `count` values, taken from the stack."""
        if len(self.stack) < count:
            raise ValueError("it takes more from the stack than lies there")
        values = self.stack[len(self.stack) - count:]
        del self.stack[len(self.stack) - count:]
        return values

    def pop_to_mark(self) -> list[Any]:
        """What lies above the last mark, taken from the stack."""
        at = self.marks.pop()
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def tuple(self) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def append(self) -> None:
        self.extend(self.pop(1))

    def appends(self) -> None:
        self.extend(self.pop_to_mark())

    def extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"it appends to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(values)

    def setitem(self) -> None:
        self.update(self.pop(2))

    def setitems(self) -> None:
        self.update(self.pop_to_mark())

    def update(self, pairs: list[Any]) -> None:
        """Keys are texts only: those of other types could be chosen so that all fall into one place of the dict."""
        keys, values = pairs[::2], pairs[1::2]
        if type(self.stack[-1]) is not dict or len(keys) != len(values) or not all(type(key) in (str, bytes) for key in keys):
            raise ValueError("it sets items other than by texts in a dict")
        self.stack[-1].update(zip(keys, values))

    def stack_global(self) -> None:
        self.stack.append(named(" ".join(map(str, self.pop(2)))))

    def reduce(self) -> None:
        """A call of one of the names: a stand-in that has noted its arguments, or bytes from the text that Python 3 keeps them in."""
        name, arguments = self.pop(2)
        what = name.what if type(name) is _Name else f"a {type(name).__name__}"
        if type(arguments) is not tuple:
            raise ValueError("it calls with arguments that are no tuple")
        if what == "array":
            self.stack.append(_Array())
        elif what == "bytes" and not arguments:
            self.stack.append(b"")
        elif what == "dtype" and arguments:
            self.stack.append(_Type(arguments[0]))
        elif what == "encode" and len(arguments) == 2 and arguments[1] == "latin1" and type(arguments[0]) is str:
            self.budget -= len(arguments[0])
            if self.budget < 0:
                raise ValueError("it makes more bytes than it has")
            self.stack.append(arguments[0].encode("latin-1"))
        else:
            raise ValueError(f"it calls {what} in a way that no array needs; nothing of it was run")

    def build(self) -> None:
        state, = self.pop(1)
        if type(self.stack[-1]) not in (_Array, _Type):
            raise ValueError(f"it gives a state to a {type(self.stack[-1]).__name__}")
        self.stack[-1].build(state)


def named(name: str) -> _Name:
    """One of the allowed names. ValueError: another, by which a pickle would call any code."""
    if name not in NAMES:
        raise ValueError(f"it names {name.replace(' ', '.')[:80]!r}, which could be any code; nothing of it was run")
    return _Name(NAMES[name])


def read_pickle(data: bytes, most_steps: int) -> dict[str, Any]:
    """The dict that a pickle of protocol 2 to 4 describes, keys as str; values are lists, texts, bytes, integers and arrays of bytes.

    ValueError, said without a file's name: anything else, a damaged pickle, bytes after its end, more than `most_steps` instructions.
    """
    machine, file = _Machine(len(data)), io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)            # of pickletools, about a backslash in a name
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file), start=1):
                if count > most_steps:
                    raise ValueError(f"it has more than {most_steps} instructions")
                if opcode.name != "STOP":
                    machine.step(opcode.name, argument)
    except (IndexError, KeyError):                          # an empty stack; a memo that was never set
        raise ValueError("it takes what was never put there") from None
    if file.tell() != len(data):
        raise ValueError(f"it ends at byte {file.tell()} of {len(data)}")
    if len(machine.stack) != 1 or type(machine.stack[0]) is not dict:
        raise ValueError("it must hold one dict")
    return {key.decode("latin-1") if type(key) is bytes else key: value.value if type(value) is _Array else value
            for key, value in machine.stack[0].items()}
