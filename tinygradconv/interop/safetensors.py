"""Arrays by name in a safetensors file: nothing in it is executed, the same arrays give the same bytes, damage is noticed.

The format (https://huggingface.co/docs/safetensors): eight bytes with the size of a JSON header, the header, the values. It has no
checksum of its own, so `to_bytes` puts one into the file's metadata: the SHA-256 of all the bytes of the file, with zeros where its own
64 digits stand. No byte can change unnoticed, be it of a value, a name, the padding or the checksum.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

CHECKSUM = "tinygradconv"        # the one key of the metadata: with a single key the order of keys cannot vary
BLANK = "0" * 64                 # stands for the checksum while it is computed


def to_bytes(arrays: Mapping[str, np.ndarray], said: Mapping | None = None) -> bytes:
    """The bytes of a safetensors file with these arrays and a checksum; `said` is kept with them, as JSON. The same for the same arrays."""
    from safetensors.numpy import save
    metadata = f'{{"sha256": "{BLANK}", "said": {json.dumps(said, sort_keys=True, allow_nan=False)}}}'
    data = bytearray(save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}, {CHECKSUM: metadata}))
    digest = hashlib.sha256(data).hexdigest().encode()
    at = _place(data, BLANK)
    data[at:at + len(digest)] = digest
    return bytes(data)


def from_bytes(data: bytes, name: str, *, ours: bool = False) -> tuple[dict[str, np.ndarray], dict | None]:
    """(arrays, what was said with them) of a safetensors file's bytes; the arrays are read-only.

    ValueError: `name` is not such a file, or is damaged; with `ours`, also one without a checksum, which `to_bytes` cannot have made.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load
    try:
        arrays = load(data)                              # in Rust: sizes, offsets, shapes and dtypes are checked before anything is taken
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        metadata = header.get("__metadata__", {}).get(CHECKSUM)
        metadata = metadata and json.loads(metadata)
        claimed, said = (metadata["sha256"], metadata["said"]) if metadata else (None, None)
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise ValueError(f"{name} is not a sound safetensors file ({str(problem)[:200] or type(problem).__name__}): "
                         f"it is damaged, cut short, or something else") from None
    if claimed is None and ours:
        raise ValueError(f"{name} is damaged, or was not saved by tinygradconv: it has no checksum")
    if claimed is not None and not _is_checksum(claimed, data):
        raise ValueError(f"{name} is damaged: its values are not those that were saved (the checksum differs)")
    return arrays, said


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays by name in a safetensors file, ours or any other; ValueError where it is damaged or is none."""
    return from_bytes(Path(path).read_bytes(), str(path))[0]


def _is_checksum(claimed: object, data: bytes) -> bool:
    """Whether these 64 digits, which stand in the header, are the checksum of the bytes around them."""
    at = _place(data, claimed) if isinstance(claimed, str) and len(claimed) == len(BLANK) else -1
    if at < 0:
        return False
    digest = hashlib.sha256(memoryview(data)[:at])
    digest.update(BLANK.encode())
    digest.update(memoryview(data)[at + len(BLANK):])
    return digest.hexdigest() == claimed


def _place(data: bytes | bytearray, digits: str) -> int:
    r"""Where the checksum stands: behind its name, whose quotes are escaped (\\"), as all of our metadata is text within the header."""
    mark = b'\\"sha256\\": \\"'
    at = data.find(mark + digits.encode(errors="replace"), 8, 8 + int.from_bytes(data[:8], "little"))
    return at if at < 0 else at + len(mark)
