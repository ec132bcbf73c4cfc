"""Paths that people write, and what is said about one that is not there."""
from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from tinygradconv.geometry import described


def path_in(where: str, path: Any, known: Iterable[str], whole: str) -> str:
    """`path` if it is one of those `known`; otherwise an error that names the closest, or the first segments that there are.

    `whole` says where the path should have been: "this spec", "this model".
    """
    if not isinstance(path, str):
        raise TypeError(f"{where}: a path must be a string such as 'layer1.0', got {described(path)}")
    paths = list(known)
    if path in paths:
        return path
    near = difflib.get_close_matches(path, paths, n=3)
    if not near:                                         # perhaps too far in: the innermost part on the way there
        near = sorted((name for name in paths if name and path.startswith(f"{name}.")), key=len)[-1:]
    if near:
        raise ValueError(f"{where}: there is no {path!r} in {whole}. Did you mean {' or '.join(map(repr, near))}?")
    tops = list(dict.fromkeys(name.split(".")[0] for name in paths if name))
    said = f" Its parts are: {', '.join(tops[:12])}{', …' if len(tops) > 12 else ''}" if tops else " It has no parts"
    raise ValueError(f"{where}: there is no {path!r} in {whole}.{said}")
