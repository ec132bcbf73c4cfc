"""config.json: what was asked for when a run was begun, with a checksum of its values."""
from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygradconv.backends import backend_named
from tinygradconv.backends.cpu import instruction_set
from tinygradconv.settings import get as setting

FORMAT = 2


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a new config as they will come back from the file: with the format, and lists for tuples."""
    return json.loads(json.dumps({"format": FORMAT, **config}, allow_nan=False))


def to_text(config: Mapping[str, Any]) -> str:
    """The text of config.json."""
    return json.dumps({**config, "sha256": _checksum(config)}, indent=2, allow_nan=False) + "\n"


def from_bytes(data: bytes, name: str) -> dict[str, Any]:
    """The values in config.json. ValueError: it is damaged, was changed after the run was begun, or is of another format."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{name} is damaged: {problem}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{name} is damaged: expected a JSON object, got {type(values).__name__}")
    claimed = values.pop("sha256", None)
    if claimed is None and values.get("format") != FORMAT:
        raise ValueError(f"{name}: this version of tinygradconv reads runs of format {FORMAT}, got {values.get('format')!r:.40}")
    if claimed != _checksum(values):
        raise ValueError(f"{name} is damaged: its values are not those that the run was begun with (the checksum differs)")
    if values["format"] != FORMAT:
        raise ValueError(f"{name}: this version of tinygradconv reads runs of format {FORMAT}, got {values['format']!r:.40}")
    return values


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def versions(ranks: int = 1, device: str = "cpu") -> dict[str, str]:
    """What the bits of a result depend on: versions, what the kernels are compiled for, and how many ranks share each batch."""
    try:
        own = importlib.metadata.version("tinygradconv")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"                                          # a checkout beside its compiled kernels
    compiled = "reference" if setting("backend") == "reference" else instruction_set()
    if device == "cuda":
        compiled = f"{backend_named(device).driver.architecture}, {setting('precision')}"
    return {"tinygradconv": own, "numpy": np.__version__, "python": platform.python_version(), "kernels": compiled, "ranks": str(ranks)}
