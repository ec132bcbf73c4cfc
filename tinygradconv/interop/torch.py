"""Checkpoints of torch: named arrays in .safetensors files, or in the .pth files of `torch.save`.

A .safetensors file is a list of arrays and is read without torch. A .pth file is a pickle, that is, a program; it is read by torch's own
`weights_only` loader, which builds tensors and containers and runs nothing else. torch is imported there and nowhere else in tinygradconv.
"""
from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_whole
from .safetensors import CHECKSUM

FLOATING = ("float16", "bfloat16", "float32", "float64")
SAFETENSORS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}       # the floating types of the format
PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".tar")
WRAPPERS = ("state_dict", "model")           # where training scripts put the weights among the other things that they save


@dataclass(frozen=True)
class Entry:
    """One array of a checkpoint, as yet unread: `values()` reads it, for a dtype of FLOATING, as float16, float32 or float64."""

    shape: tuple[int, ...]
    dtype: str
    values: Callable[[], np.ndarray]


def read(path: str | os.PathLike) -> dict[str, Entry]:
    """The entries of a checkpoint by name. What is in it besides weights (an epoch, an optimiser) is left alone.

    ValueError: the file is damaged, or is no checkpoint. ModuleNotFoundError: it takes torch to read it, and torch is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix != ".safetensors" and suffix not in PICKLED:
        raise ValueError(f"load_torch: {path} must end in .safetensors, .pth or .pt, so that it is clear how to read it")
    with open(path, "rb"):                   # FileNotFoundError and its kin, in Python's words
        pass
    return _read_safetensors(path) if suffix == ".safetensors" else _read_pickled(path)


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as torch reads them, .safetensors or .pth by the path's ending: beside, then renamed.

    ValueError: another ending. ModuleNotFoundError: .pth without torch. OSError: the file could not be written, and the one before stands.
    """
    path = Path(path)
    if path.suffix.lower() == ".safetensors":
        from safetensors.numpy import save
        contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
        write_whole(path, save(contiguous, {"format": "pt"}))
    elif path.suffix.lower() in (".pth", ".pt"):
        torch, buffer = _torch("save_torch", path), io.BytesIO()
        torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, buffer)
        write_whole(path, buffer.getvalue())
    else:
        raise ValueError(f"save_torch: {path} must end in .safetensors, .pth or .pt")


def _torch(where: str, path: Path) -> Any:
    try:
        import torch
    except ImportError:
        cure = ("convert it where torch is: safetensors.torch.save_file(torch.load(path, weights_only=True), …)" if where == "load_torch"
                else "save as .safetensors, which torch users read by safetensors.torch.load_file")
        raise ModuleNotFoundError(f"{where}: {path} is in torch's own format, which needs torch, and torch is not installed. "
                                  f"pip install torch, or {cure}") from None
    return torch


def _read_safetensors(path: Path) -> dict[str, Entry]:
    from safetensors import SafetensorError, safe_open
    try:
        file = safe_open(path, "numpy")      # checks that the header is sound and that the values it speaks of are all there
        parts = {name: file.get_slice(name) for name in file.keys()}
    except (SafetensorError, ValueError) as problem:
        raise ValueError(f"load_torch: {path} is not a sound safetensors file ({problem}): it is damaged, cut short, or something else") \
            from None
    if CHECKSUM in (file.metadata() or {}):
        raise ValueError(f"load_torch: {path} was saved by tinygradconv itself and lies channels last. Load it by tinygradconv.train."
                         f"load_weights(model, tinygradconv.interop.safetensors.load(path)); save_torch writes what load_torch reads")
    entries = {}
    for name, part in parts.items():
        dtype = SAFETENSORS.get(part.get_dtype(), part.get_dtype())
        values = _bfloat16(path, name) if dtype == "bfloat16" else lambda name=name: file.get_tensor(name)
        entries[name] = Entry(tuple(part.get_shape()), dtype, values)
    return entries


def _bfloat16(path: Path, name: str) -> Callable[[], np.ndarray]:
    """Reads one bfloat16 array of a sound file as float32. NumPy has no such type: a bfloat16 is the upper half of a float32."""
    def values() -> np.ndarray:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            about = json.loads(file.read(size))[name]
            begin, end = about["data_offsets"]
            file.seek(8 + size + begin)
            halves = np.frombuffer(file.read(end - begin), "<u2")
        return (halves.astype(np.uint32) << 16).view(np.float32).reshape(about["shape"])
    return values


def _read_pickled(path: Path) -> dict[str, Entry]:
    import zipfile
    torch = _torch("load_torch", path)
    try:                                     # a zip file (torch 1.6 and later) can be mapped into memory; the older format cannot
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as problem:             # on the bytes of strangers torch raises nearly anything: EOFError, RuntimeError, KeyError, …
        raise ValueError(_unreadable(path, problem)) from None
    for key in WRAPPERS:
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not all(isinstance(name, str) for name in held):
        raise ValueError(f"load_torch: {path} holds no weights by name but a {type(held).__name__}"
                         f"{' whose keys are not names' if isinstance(held, dict) else ''}. Save them as torch.save(model.state_dict(), …)")
    return {name: _tensor(torch, value) for name, value in held.items()}


def _unreadable(path: Path, problem: Exception) -> str:
    """What torch found, without its advice to switch the protection off."""
    said = str(problem)
    if called := re.search(r"GLOBAL (\S+)", said):
        return (f"load_torch: {path} calls for {called[1]}, which is code and not weights: nothing was loaded. "
                f"Save the weights alone where it was made: torch.save(model.state_dict(), …)")
    found = re.search(r"Unsupported operand \d+", said) or ("weights_only" not in said and re.match(r"[^\n.]+", said))
    reason = found[0] if found else type(problem).__name__
    return f"load_torch: torch cannot read {path} ({reason}): it is damaged, cut short, or no checkpoint"


def _tensor(torch: Any, value: Any) -> Entry:
    """The entry of one value of a state dict; what is not a plain tensor in memory gets a dtype that nobody can take for floating."""
    if not isinstance(value, torch.Tensor):
        return Entry((), type(value).__name__, lambda: np.empty(0))
    dtype = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided or value.device.type != "cpu":
        dtype = f"{str(value.layout).removeprefix('torch.')} {dtype} on {value.device.type}"
    return Entry(tuple(value.shape), dtype,
                 lambda: value.detach().to(torch.float32 if value.dtype == torch.bfloat16 else value.dtype).numpy())
