"""Every optimiser that PyTorch has, beside PyTorch's: a hundred steps on random gradients, in both dtypes, with and without decay."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.train.optim import SGD, Adam, AdamW, Muon, RMSprop

torch = pytest.importorskip("torch")

SHAPES = {"conv1.weight": (3, 3, 2, 5), "conv1.bias": (5,), "bn1.weight": (5,), "scale": (), "fc.weight": (17, 3), "fc.bias": (3,)}
CASES = {
    "sgd": (SGD, {}, "SGD", {}),
    "momentum": (SGD, {"momentum": 0.9, "decay": 0.01}, "SGD", {"momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True, "decay": 0.01}, "SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (Adam, {"decay": 0.01}, "Adam", {"weight_decay": 0.01}),
    "adam's options": (Adam, {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}, "Adam", {"betas": (0.8, 0.95), "eps": 1e-3}),
    "adamw": (AdamW, {}, "AdamW", {}),
    "adamw's options": (AdamW, {"decay": 0.3, "beta1": 0.8, "beta2": 0.95}, "AdamW", {"weight_decay": 0.3, "betas": (0.8, 0.95)}),
    "rmsprop": (RMSprop, {"epsilon": 1e-3}, "RMSprop", {"eps": 1e-3}),
    "rmsprop decayed": (RMSprop, {"smoothing": 0.9, "decay": 0.01, "epsilon": 1e-3}, "RMSprop",
                        {"alpha": 0.9, "weight_decay": 0.01, "eps": 1e-3}),
    "rmsprop centred": (RMSprop, {"centred": True, "epsilon": 1e-3}, "RMSprop", {"centered": True, "eps": 1e-3}),
    "rmsprop momentum": (RMSprop, {"momentum": 0.9, "smoothing": 0.95}, "RMSprop", {"momentum": 0.9, "alpha": 0.95}),
    "rmsprop whole": (RMSprop, {"momentum": 0.8, "centred": True, "decay": 0.01, "epsilon": 1e-2}, "RMSprop",
                      {"momentum": 0.8, "centered": True, "weight_decay": 0.01, "eps": 1e-2}),
}
DTYPES = [(np.float64, 1e-11), (np.float32, 5e-5)]


def parameters(rng, dtype, shapes=SHAPES):
    return {path: tgc.Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for path, shape in shapes.items()}


def gradients(rng, step, dtype, shapes=SHAPES):
    """Random ones; all are zero in every tenth step, and those of fc always."""
    return {path: (rng.normal(size=shape) * (step % 10 != 7 and not path.startswith("fc"))).astype(dtype) for path, shape in shapes.items()}


def twin(p):
    return torch.tensor(np.array(p.numpy()), requires_grad=True)


def rate(step):
    """One that changes at every step."""
    return 0.02 * (1.5 + np.cos(step)).item()


def beside(optimizer, tensors, oracle, twins, rng, dtype, tolerance):
    """A hundred steps of both, compared after each."""
    shapes = {path: p.shape for path, p in tensors.items()}
    for step in range(100):
        slopes = gradients(rng, step, dtype, shapes)
        optimizer.update({path: tgc.Tensor(g) for path, g in slopes.items()}, rate(step))
        for group in oracle.param_groups:
            group["lr"] = rate(step)
        for path, leaf in twins.items():
            leaf.grad = torch.tensor(slopes[path])
        oracle.step()
        for path, p in tensors.items():
            np.testing.assert_allclose(p.numpy(), twins[path].detach().numpy(), tolerance, tolerance, err_msg=f"{path}, step {step}")


@pytest.mark.parametrize(("kind", "ours", "name", "theirs"), CASES.values(), ids=CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_a_hundred_steps_are_torchs(rng, backend, kind, ours, name, theirs, dtype, tolerance):
    tensors = parameters(rng, dtype)
    before = {path: p.numpy().copy() for path, p in tensors.items()}
    twins = {path: twin(p) for path, p in tensors.items()}
    beside(kind(tensors, **ours), tensors, getattr(torch.optim, name)(twins.values(), lr=1.0, **theirs), twins, rng, dtype, tolerance)
    assert (before["conv1.weight"] != tensors["conv1.weight"].numpy()).all()


@pytest.mark.parametrize(("kind", "options", "name", "theirs"), [
    (SGD, {"momentum": 0.9}, "SGD", {"momentum": 0.9}), (Adam, {}, "Adam", {}), (AdamW, {}, "AdamW", {}),
    (RMSprop, {"epsilon": 1e-3}, "RMSprop", {"eps": 1e-3}),
    (RMSprop, {"epsilon": 1e-3, "momentum": 0.9}, "RMSprop", {"eps": 1e-3, "momentum": 0.9})])
def test_excluded_paths_are_torchs_group_without_decay(rng, kind, options, name, theirs):
    """The patterns of the brief's example; the frozen bn1.bias would match too, and stays."""
    tensors = {**parameters(rng, np.float64), "bn1.bias": tgc.Tensor(np.ones(5))}
    optimizer = kind(tensors, decay=0.2, exclude=("*.bias", "bn*"), **options)
    without = {"conv1.bias", "bn1.weight", "fc.bias"}
    assert optimizer.excluded - {"bn1.bias"} == without and "bn1.bias" not in optimizer.parameters
    learned = dict(optimizer.parameters)
    twins = {path: twin(p) for path, p in learned.items()}
    groups = [{"params": [leaf for path, leaf in twins.items() if (path in without) == excluded], "weight_decay": decay}
              for excluded, decay in ((True, 0.0), (False, 0.2))]
    beside(optimizer, learned, getattr(torch.optim, name)(groups, lr=1.0, **theirs), twins, rng, np.float64, 1e-11)
    assert (tensors["bn1.bias"].numpy() == 1).all()


def theirs_of(path, array):
    """Torch's matrix for a weight of ours: outputs first, a filter's values in a row, in the order (channel, ky, kx)."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1).reshape(array.shape[3], -1) if array.ndim == 4 else array.T)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-4)])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.8, "nesterov": False, "decay": 0.0}])
def test_muon_is_torchs(rng, monkeypatch, dtype, tolerance, options):
    """PyTorch computes in bfloat16, which would hide mistakes of a hundredth: here its cast is taken out, and the rest is PyTorch's."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    shapes = {"tall": (17, 3), "wide": (3, 17), "square": (4, 4), "row": (1, 6), "bias": (6,)}
    tensors = parameters(rng, dtype, shapes)
    matrices = {path: torch.tensor(theirs_of(path, p.numpy()), requires_grad=True) for path, p in tensors.items() if p.ndim > 1}
    bias = twin(tensors["bias"])
    decay = options.get("decay", 0.1)
    optimizer = Muon(tensors, **options)
    oracle = torch.optim.Muon(matrices.values(), momentum=options.get("momentum", 0.95), nesterov=options.get("nesterov", True),
                              weight_decay=decay)
    rest = torch.optim.AdamW([bias], weight_decay=decay)
    for step in range(100):
        slopes = gradients(rng, step, dtype, shapes)
        optimizer.update({path: tgc.Tensor(g) for path, g in slopes.items()}, rate(step))
        oracle.param_groups[0]["lr"], rest.param_groups[0]["lr"] = rate(step), rate(step) * 0.015
        for path, leaf in matrices.items():
            leaf.grad = torch.tensor(theirs_of(path, slopes[path]))
        bias.grad = torch.tensor(slopes["bias"])
        oracle.step()
        rest.step()
        for path, leaf in matrices.items():
            np.testing.assert_allclose(theirs_of(path, tensors[path].numpy()), leaf.detach().numpy(), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(tensors["bias"].numpy(), bias.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_muons_step_of_a_convolution_is_torchs_of_its_filters_as_rows(rng, monkeypatch):
    """The author flattens filters (O, C·kh·kw) and takes the scale from (O, C), as here; torch.optim.Muon has matrices only."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    w, g = rng.normal(size=(3, 3, 2, 5)), rng.normal(size=(3, 3, 2, 5))
    p = tgc.Tensor(w, requires_grad=True)
    Muon({"conv.weight": p}, momentum=0.9, decay=0.0).update([tgc.Tensor(g)], 0.1)
    matrix = torch.tensor(theirs_of("", w), requires_grad=True)
    matrix.grad = torch.tensor(theirs_of("", g))
    torch.optim.Muon([matrix], lr=0.1, momentum=0.9, weight_decay=0.0).step()
    plain = (matrix.detach().numpy() - theirs_of("", w)) / max(1, 5 / 18) ** 0.5
    np.testing.assert_allclose(theirs_of("", p.numpy() - w), plain * (5 / 2) ** 0.5, rtol=1e-10)
