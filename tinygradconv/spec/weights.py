"""Weights by name: from a checkpoint of torch into a model, and back. No table of names: the zoo's parameter paths are torchvision's."""
from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygradconv.backends import backend_of
from tinygradconv.interop import torch
from tinygradconv.tensor import Tensor

from .channels_first import Layout, layouts
from .layers import BatchNorm

COUNTER = "num_batches_tracked"                   # torch's batch norms count their batches; ours have no use for it
PREFIXES = ("module.", "_orig_mod.")              # what DataParallel and torch.compile put before every name
NAMED = 8                                         # how many entries of a list an error names


@dataclass(frozen=True)
class LeftOut:
    """The names that did not fit when a checkpoint was loaded; false where all did.

    `missing` are the model's alone, `extra` the file's alone, `misshapen` are both's in different shapes, `refused` not floating.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.missing, self.extra, self.misshapen, self.refused))


def load_torch(model: Any, path: str | os.PathLike, *, strict: bool = True) -> LeftOut:
    """Take weights and buffers from a torchvision or timm checkpoint: .safetensors, or .pth, which needs torch and runs no code from it.

    Names are torch's; layouts (channels_first.py) and floating dtypes are converted. ValueError lists everything that is missing, too
    much or of another shape, and then nothing has been loaded; with strict=False what fits is loaded, and the rest returned by name.
    Values that are not finite are loaded, with a warning that says where they are.
    """
    entries, wanted = _unprefixed(torch.read(path), model), layouts(model.network)
    both = [name for name in wanted if name in entries]
    refused = [name for name in both if entries[name].dtype not in torch.FLOATING]
    misshapen = [name for name in both if name not in refused and entries[name].shape != wanted[name].theirs]
    left = LeftOut(tuple(name for name in wanted if name not in entries), tuple(name for name in entries if name not in wanted),
                   tuple(misshapen), tuple(refused))
    fitting = [name for name in both if name not in refused and name not in misshapen]
    if left and (strict or not fitting):
        raise ValueError(_misfit(model, path, left, entries, wanted))
    _put(model, path, {name: wanted[name] for name in fitting}, entries)
    return left


def save_torch(model: Any, path: str | os.PathLike) -> None:
    """Write weights and buffers under torch's names and in its layouts: .safetensors, or .pth, which needs torch.

    Written beside and renamed; OSError: it could not be written, and the file that was there stands.
    """
    tensors = {**model.parameters, **model.buffers}
    arrays = {name: layout.to_theirs(tensors[name].numpy()) for name, layout in layouts(model.network).items()}
    for step in model.network.steps:
        if isinstance(step.spec, BatchNorm):
            arrays[f"{step.path}.{COUNTER}" if step.path else COUNTER] = np.array(model.counter.value, np.int64)
    torch.write(path, arrays)


def _unprefixed(entries: Mapping[str, torch.Entry], model: Any) -> dict[str, torch.Entry]:
    """Entries by the names that the model knows: without what wraps every one of them, and without the counters of batch norms."""
    for prefix in PREFIXES:
        if entries and all(name.startswith(prefix) for name in entries) and not any(name.startswith(prefix) for name in model.parameters):
            entries = {name.removeprefix(prefix): entry for name, entry in entries.items()}
    return {name: entry for name, entry in entries.items() if name.rpartition(".")[2] != COUNTER}


def _put(model: Any, path: str | os.PathLike, fitting: Mapping[str, Layout], entries: Mapping[str, torch.Entry]) -> None:
    """Parameters change in place, so that an optimiser made before goes on with them; buffers are replaced, as everywhere."""
    doubtful = []
    for name, layout in fitting.items():
        is_parameter = name in model.parameters
        there = model.parameters[name] if is_parameter else model.buffers[name]
        values = there.data if is_parameter and there.device == "cpu" else np.empty(layout.shape, model.dtype)
        with np.errstate(over="ignore"):                    # what is too large for the model's dtype becomes infinite, and is named below
            layout.to_ours(entries[name].values(), values)
        if is_parameter:
            if values is not there.data:
                backend_of(there.data).assign(there.data, values)
            there.storage.version += 1
        else:
            model.buffers[name] = Tensor.of(values).to(there.device)
        if not np.isfinite(values).all():
            doubtful.append(name)
    if doubtful:
        warnings.warn(f"load_torch: {path} has NaN or infinite values (as {model.dtype}) in {_listed(doubtful)}", stacklevel=3)


def _misfit(model: Any, path: str | os.PathLike, left: LeftOut, entries: Mapping[str, torch.Entry], wanted: Mapping[str, Layout]) -> str:
    """The one error about everything that does not fit."""
    said = [f"load_torch: {path} does not fit this model, and nothing was loaded"]
    for what, items in (
            ("Missing", [f"{name} {wanted[name].theirs}" for name in left.missing]),
            ("Not in the model", [f"{_printable(name)} {entries[name].shape}" for name in left.extra]),
            ("Of another shape", [f"{name} is {entries[name].shape}, the model's is {wanted[name].theirs}" for name in left.misshapen]),
            ("Not floating", [f"{name} is {entries[name].dtype}" for name in left.refused])):
        if items:
            said.append(f"{what}: {_listed(items)}")
    return ". ".join([*said, _cure(model, left, entries, wanted)])


def _cure(model: Any, left: LeftOut, entries: Mapping[str, torch.Entry], wanted: Mapping[str, Layout]) -> str:
    heads = tuple(f"{head}." for head, _, _ in model.network.heads)
    behind = [name for name in left.misshapen if wanted[name].flattened and entries[name].shape[1:] != wanted[name].theirs[1:]]
    if len(left.missing) == len(wanted):
        return ("The file is empty" if not entries else
                f"No name agrees: the model's begin with {_tops(wanted)}, the file's with {_tops(left.extra)}. Is it another network's?")
    if len(left.missing) + len(left.misshapen) + len(left.refused) == len(wanted):
        return "Nothing agrees but names. Is it another network's?"
    if left.missing and left.extra:
        return "Is it another network's? load_torch(…, strict=False) loads what fits and returns the rest"
    if left.extra and not heads and all(name.lower().startswith("aux") for name in left.extra):
        return "The file has auxiliary heads: build the network with heads=True, or leave them out by load_torch(…, strict=False)"
    if left.missing and heads and all(name.startswith(heads) for name in left.missing):
        return "The file has no auxiliary heads: build the network without them, or keep them as drawn by load_torch(…, strict=False)"
    if behind:
        return (f"{behind[0]} follows a Flatten of {' and '.join(map(str, wanted[behind[0]].flattened))}: "
                f"build the model for the input size that the weights were trained with")
    return "load_torch(…, strict=False) loads what fits and returns the rest"


def _tops(names: Iterable[str]) -> str:
    return _listed(list(dict.fromkeys(_printable(name.split(".")[0]) for name in names)))


def _listed(items: Collection[str]) -> str:
    """The first of `items`, and how many more there are."""
    more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return ", ".join(list(items)[:NAMED]) + more


def _printable(name: str) -> str:
    """A name out of a file, which may be anything, fit for an error."""
    return name if name.isprintable() and 0 < len(name) <= 100 else f"{name[:100]!r}{'…' if len(name) > 100 else ''}"
