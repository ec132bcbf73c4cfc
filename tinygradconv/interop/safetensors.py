"""Arrays by name in a safetensors file: nothing in it is executed, the same arrays give the same bytes, damage is noticed.

The format (https://huggingface.co/docs/safetensors): eight bytes with the size of a JSON header, the header, the values. It has no
checksum of its own, so `save` adds one to the file's metadata, over names, dtypes, shapes and values;
`load` checks it where a file has one.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

CHECKSUM = "tinygradconv"        # the one key of the metadata: with a single key the order of keys cannot vary


def _digest(arrays: Mapping[str, np.ndarray], said: str) -> str:
    digest = hashlib.sha256(said.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def to_bytes(arrays: Mapping[str, np.ndarray], said: Mapping | None = None) -> bytes:
    """The bytes of a safetensors file with these arrays and a checksum; `said` is kept with them, as JSON. The same for the same arrays."""
    from safetensors.numpy import save
    text = json.dumps(said, sort_keys=True, allow_nan=False) if said is not None else ""
    metadata = json.dumps({"sha256": _digest(arrays, text), "said": text}, sort_keys=True)
    return save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}, {CHECKSUM: metadata})


def from_bytes(data: bytes, name: str) -> tuple[dict[str, np.ndarray], dict | None]:
    """(arrays, what was said with them) of a safetensors file's bytes. ValueError: `name` is not such a file, or is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load
    try:
        arrays = load(data)
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        ours = header.get("__metadata__", {}).get(CHECKSUM)
        ours = json.loads(ours) if ours is not None else None
        claimed, text = (ours["sha256"], ours["said"]) if ours is not None else (None, "")
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"{name} is not a sound safetensors file ({problem or type(problem).__name__}): "
                         f"it is damaged, cut short, or something else") from None
    if claimed is not None and claimed != _digest(arrays, text):
        raise ValueError(f"{name} is damaged: its values are not those that were saved (the checksum differs)")
    return arrays, json.loads(text) if text else None


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays by name in a safetensors file, ours or any other; ValueError where it is damaged or is none."""
    return from_bytes(Path(path).read_bytes(), str(path))[0]
