"""Patterns of paths: which parameters an option is for."""
from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from tinygradconv.geometry import described


def matching(where: str, name: str, patterns: str | Iterable[str], paths: Collection[str]) -> frozenset[str]:
    """The paths that one of the patterns matches, or the one pattern: "*.bias", "layer1.*", "bn?.weight", by the rules of fnmatch.

    ValueError: a pattern that matches no path, with the closest paths. TypeError: a pattern that is no string.
    """
    wrong = f"{where}: {name} must be patterns of paths such as ('*.bias',), got "
    chosen = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(chosen, Iterable):
        raise TypeError(f"{wrong}{described(patterns)}")
    found: set[str] = set()
    for pattern in chosen:
        if not isinstance(pattern, str):
            raise TypeError(f"{wrong}{described(pattern)}")
        matched = {path for path in paths if fnmatchcase(path, pattern)}
        if not matched:
            raise ValueError(f"{where}: {name} {pattern!r} matches no parameter. {_cure(pattern, paths)}")
        found |= matched
    return frozenset(found)


def _cure(pattern: str, paths: Collection[str]) -> str:
    """The paths that look most like a pattern, or the first that there are."""
    near = difflib.get_close_matches(pattern, paths, n=3, cutoff=0.4)
    if near:
        return f"The closest are: {', '.join(near)}"
    return f"There are: {', '.join(list(paths)[:6])}{', …' if len(paths) > 6 else ''}" if paths else "There are none"
