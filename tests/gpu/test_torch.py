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

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[peers]'")
pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]


def conv(**options: Any) -> Callable[[Any, Any], Any]:
    """torch's convolution of our layout."""
    return lambda x, w: channels_last(torch.nn.functional.conv2d(channels_first(x), w.permute(3, 2, 0, 1), **options))


def batch_norm(x, scale, shift):
    return channels_last(torch.nn.functional.batch_norm(channels_first(x), None, None, scale, shift, training=True))


def pooled(pool: Callable[..., Any], **options: Any) -> Callable[[Any], Any]:
    """A pool of torch's, of our layout."""
    return lambda x: channels_last(pool(channels_first(x), 2, **options))


F = torch.nn.functional
THEIRS: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in ("abs", "cos", "cosh", "erf", "exp", "expm1", "sin", "sinh", "square", "tanh", "tan", "log",
                                               "log1p", "sqrt", "relu", "sigmoid", "add", "subtract", "multiply", "divide", "matmul",
                                               "maximum", "minimum", "pow")},
    "matmul, larger": torch.matmul, "matmul, stacked": torch.matmul,
    "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "softplus": F.softplus, "elu": F.elu,
    "sum of axes": lambda x: x.sum((0, 2), keepdim=True), "max": lambda x: x.max(1).values, "cumsum": None,
    "conv2d 3x3": conv(padding=1), "conv2d groups": conv(groups=2, padding=1), "conv2d each channel by itself": conv(groups=5, padding=1),
    "conv2d holes": conv(dilation=(2, 3), padding=2), "conv2d 1x1": conv(), "conv2d many channels": conv(padding=1),
    "conv2d many channels, a stride": conv(padding=1, stride=2),
    "max_pool2d 2x2": pooled(F.max_pool2d), "avg_pool2d 2x2": pooled(F.avg_pool2d), "batch_norm None": batch_norm,
    "layer_norm": lambda x, s, b: F.layer_norm(x, (9,), s, b), "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1), "mse": F.mse_loss, "huber": F.huber_loss,
    "cross_entropy mean": lambda x: F.cross_entropy(x, torch.tensor(CASES["cross_entropy mean"].constants[0])),
}
del THEIRS["cumsum"]


@pytest.mark.parametrize("name", THEIRS)
def test_values_and_derivatives_are_torchs(name):
    case = CASES[name]
    shape = case.f(*map(tgc.Tensor, case.floats), *map(tgc.Tensor, case.constants)).shape
    g = leaf(shape, 100, "cpu", np.float64).numpy()
    weights = [leaf(a.shape, 200 + i, "cpu", np.float64).numpy() for i, a in enumerate(case.floats)]
    y, *derivatives = theirs(THEIRS[name], case.floats, g, weights)
    first, second = derivatives[:len(case.floats)], derivatives[len(case.floats):]
    with tgc.settings(precision="fp32"):
        found = derived(case, "cuda", np.float32)
    assert max(found := errors(found, [[y], [y], first, first, second])) <= 1e-5, found


@pytest.fixture
def gpu_torch():
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
