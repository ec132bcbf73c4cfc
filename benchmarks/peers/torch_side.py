"""PyTorch in its best form: contiguous, channels_last, compiled; and our arrays and weights in its order."""
from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from .work import Options

LAYOUTS = {"torch": "contiguous_format", "torch channels_last": "channels_last"}


def the_torch() -> ModuleType:
    """PyTorch, imported when first needed; ImportError says how to get it."""
    try:
        import torch
    except ImportError:
        raise ImportError("the comparison needs PyTorch 2.13.0: pip install '.[peers]'") from None
    return torch


def channels_first(values: np.ndarray, layout: str = "contiguous_format") -> Any:
    """A torch tensor (N, C, H, W) of values (N, H, W, C), in the given memory order; other shapes as they are."""
    torch = the_torch()
    tensor = torch.from_numpy(np.array(values))
    return tensor.permute(0, 3, 1, 2).contiguous(memory_format=getattr(torch, layout)) if tensor.ndim == 4 else tensor


def channels_last(tensor: Any) -> np.ndarray:
    """Values (N, H, W, C) of a torch tensor (N, C, H, W); other shapes as they are."""
    tensor = tensor.detach()
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy()


def torch_weights(model: Any) -> dict[str, Any]:
    """Our model's parameters by path, as torch has them: filters (O, I, kh, kw), dense weights (O, I), I in C·H·W order after a Flatten."""
    torch, weights = the_torch(), {}
    for step in model.network.steps:
        for path in step.parameters.values():
            values = model.parameters[path].numpy()
            if values.ndim == 4:
                values = values.transpose(3, 2, 0, 1)
            elif values.ndim == 2:
                if step.flattened:
                    ((H, W, C),) = step.flattened
                    values = values.reshape(H, W, C, -1).transpose(2, 0, 1, 3).reshape(values.shape)
                values = values.T
            weights[path] = torch.from_numpy(np.array(values, order="C"))
    return weights


def load(module: Any, weights: Mapping[str, Any], layout: str = "contiguous_format") -> Any:
    """The module with these weights, in the given memory order. ValueError where the paths or shapes are not its own."""
    own = dict(module.named_parameters())
    wrong = sorted({*own} ^ {*weights}) or [path for path, p in own.items() if p.shape != weights[path].shape]
    if wrong:
        raise ValueError(f"the torch model is not ours: {', '.join(wrong[:5])} differ")
    module.load_state_dict({path: tensor.clone() for path, tensor in weights.items()}, strict=False)
    return module.to(memory_format=getattr(the_torch(), layout))


def compiled(function: Callable[..., Any], first: Callable[[Any], object], options: Options,
             freezes: bool = False) -> tuple[Any | None, str]:
    """(torch.compile of `function`, "") after first(it) has run, or (None, why not).

    `first` calls it as it will be called, so that all is compiled. `freezes` lets the compiler fold weights, for inference.
    """
    if not options.compiles:
        return None, ""
    if shutil.which("c++") is None and shutil.which("g++") is None:
        return None, "not compiled: torch.compile needs a C++ compiler"
    torch = the_torch()
    torch._dynamo.reset()
    before = torch._inductor.config.freezing
    torch._inductor.config.freezing = freezes
    try:
        with patience(options.patience):
            made = torch.compile(function)
            first(made)
            return made, ""
    except Exception as problem:           # whatever stops the compiler, the other forms can be measured
        return None, f"not compiled: {type(problem).__name__}: {str(problem).strip().splitlines()[0][:120] if str(problem) else ''}"
    finally:
        torch._inductor.config.freezing = before


def in_every_form(eager: Callable[[str], Any], bound: Callable[[Any, str], Callable[[], Any]], options: Options,
                  freezes: bool = False) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """(calls by the name of the peer, notes): `bound(function, layout)` in both layouts, as it is and through torch.compile.

    `eager(layout)` is the function, or the module, of a layout.
    """
    calls: dict[str, Callable[[], Any]] = {}
    notes: list[str] = []
    for name, layout in LAYOUTS.items():
        function = eager(layout)
        calls[name] = bound(function, layout)
        made, why = compiled(function, lambda made, layout=layout: bound(made, layout)(), options, freezes)
        if made is not None:
            calls[f"{name} compiled"] = bound(made, layout)
        elif why:
            notes.append(why)
    return calls, notes


@contextmanager
def patience(seconds: int):
    """TimeoutError after so many seconds, where the system has alarms."""
    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"{seconds} seconds were not enough")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
