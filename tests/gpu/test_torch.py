"""The GPU's results against PyTorch's, and arrays shared with it without a copy. PyTorch computes in float64, on the CPU."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygradconv as tgc

from ..ops.parity import channels_first, channels_last, theirs
from .cases import CASES
from .derived import derived, errors, leaf

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]


@pytest.fixture
def torch():
    """PyTorch, imported when a test runs: to collect tests costs nothing."""
    return pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")


def conv(**options: Any) -> Callable[[Any], Callable[[Any, Any], Any]]:
    """torch's convolution of our layout."""
    return lambda F: lambda x, w: channels_last(F.conv2d(channels_first(x), w.permute(3, 2, 0, 1), **options))


def pooled(name: str) -> Callable[[Any], Callable[[Any], Any]]:
    """A 2×2 pool of torch's, of our layout."""
    return lambda F: lambda x: channels_last(getattr(F, name)(channels_first(x), 2))


def batch_norm(F):
    return lambda x, scale, shift: channels_last(F.batch_norm(channels_first(x), None, None, scale, shift, training=True))


def labelled(F):
    import torch
    return lambda x: F.cross_entropy(x, torch.tensor(CASES["cross_entropy mean"].constants[0]))


# Of a case, torch's function: of the same name in `torch`, or made from torch.nn.functional.
SAME = ("abs", "cos", "cosh", "erf", "exp", "expm1", "sin", "sinh", "square", "tanh", "tan", "log", "log1p", "sqrt", "relu", "sigmoid",
        "add", "subtract", "multiply", "divide", "matmul", "maximum", "minimum", "pow")
OTHERS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "matmul, larger": lambda F: lambda a, b: a @ b, "matmul, stacked": lambda F: lambda a, b: a @ b,
    "gelu": lambda F: F.gelu, "gelu tanh": lambda F: lambda x: F.gelu(x, approximate="tanh"), "silu": lambda F: F.silu,
    "softplus": lambda F: F.softplus, "elu": lambda F: F.elu,
    "sum of axes": lambda F: lambda x: x.sum((0, 2), keepdim=True), "max": lambda F: lambda x: x.max(1).values,
    "conv2d 3x3": conv(padding=1), "conv2d groups": conv(groups=2, padding=1), "conv2d each channel by itself": conv(groups=5, padding=1),
    "conv2d holes": conv(dilation=(2, 3), padding=2), "conv2d 1x1": conv(), "conv2d many channels": conv(padding=1),
    "conv2d many channels, a stride": conv(padding=1, stride=2),
    "max_pool2d 2x2": pooled("max_pool2d"), "avg_pool2d 2x2": pooled("avg_pool2d"), "batch_norm None": batch_norm,
    "layer_norm": lambda F: lambda x, s, b: F.layer_norm(x, (9,), s, b), "softmax": lambda F: lambda x: F.softmax(x, -1),
    "log_softmax": lambda F: lambda x: F.log_softmax(x, -1), "mse": lambda F: F.mse_loss, "huber": lambda F: F.huber_loss,
    "cross_entropy mean": labelled,
}


@pytest.mark.parametrize("name", [*SAME, *OTHERS])
def test_values_and_derivatives_are_torchs(torch, name):
    case = CASES[name]
    function = OTHERS[name](torch.nn.functional) if name in OTHERS else getattr(torch, name)
    shape = case.f(*map(tgc.Tensor, case.floats), *map(tgc.Tensor, case.constants)).shape
    g = leaf(shape, 100, "cpu", np.float64).numpy()
    weights = [leaf(a.shape, 200 + i, "cpu", np.float64).numpy() for i, a in enumerate(case.floats)]
    y, *derivatives = theirs(function, case.floats, g, weights)
    first, second = derivatives[:len(case.floats)], derivatives[len(case.floats):]
    with tgc.settings(precision="fp32"):
        found = derived(case, "cuda", np.float32)
    assert max(found := errors(found, [[y], [y], first, first, second])) <= 1e-5, found


@pytest.fixture
def gpu_torch(torch):
    """PyTorch that computes on the GPU."""
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch cannot use the GPU")
    return torch


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_arrays_are_shared_with_torch_both_ways(gpu_torch, dtype):
    values = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    ours = tgc.Tensor(values).to("cuda")
    seen = gpu_torch.from_dlpack(ours)
    assert seen.device.type == "cuda" and seen.data_ptr() == ours.data.pointer and (seen.cpu().numpy() == values).all()
    seen = gpu_torch.as_tensor(ours, device="cuda")
    assert seen.data_ptr() == ours.data.pointer
    theirs_ = gpu_torch.arange(24, device="cuda").reshape(2, 3, 4).to(getattr(gpu_torch, dtype)) * 2
    back = tgc.from_dlpack(theirs_)
    assert back.device == "cuda" and back.data.pointer == theirs_.data_ptr() and (back.numpy() == 2 * values).all()
    del theirs_
    assert ((back + back).numpy() == 4 * values).all()


def test_what_torch_has_just_started_is_waited_for(gpu_torch):
    large = gpu_torch.ones(2048, 2048, device="cuda")
    for _ in range(20):
        large = large @ large / 2048
    assert (tgc.from_dlpack(large) + 1).numpy().min() == 2
