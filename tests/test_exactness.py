"""How near the float32 gradients of ResNet-20 are to float64's, layer by layer, beside PyTorch's own float32."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import models


def our_gradients(model, x, labels):
    loss = tgc.cross_entropy(model(x, train=True), labels)
    return {path: g.numpy() for path, g in zip(model.parameters, tgc.grad(loss, list(model.parameters.values())))}


def their_gradients(torch, network, x, labels):
    network.zero_grad()
    torch.nn.functional.cross_entropy(network(x.permute(0, 3, 1, 2)), labels).backward()
    return {path: p.grad.permute(2, 3, 1, 0).numpy() if p.ndim == 4 else p.grad.T.numpy() if p.ndim == 2 else p.grad.numpy()
            for path, p in network.named_parameters()}


def errors(gradients, truth):
    """‖g − truth‖ / ‖truth‖ of every convolution and of the dense layer."""
    return {path: np.linalg.norm(gradients[path] - truth[path]) / np.linalg.norm(truth[path]) for path in truth if truth[path].ndim > 1}


@pytest.mark.slow
def test_gradients_of_resnet20_are_as_near_to_float64_as_torchs():
    torch = pytest.importorskip("torch")
    from benchmarks.peers.torch_models import cifar_resnet

    spec, shape = models.get("resnet20")
    model = spec.build(shape, seed=0)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((32, *shape)).astype(np.float32), rng.integers(0, 10, 32)
    network = cifar_resnet(20)
    with torch.no_grad():
        for path, p in network.named_parameters():
            ours = torch.tensor(model.parameters[path].numpy().copy())
            p.copy_(ours.permute(3, 2, 0, 1) if p.ndim == 4 else ours.T if p.ndim == 2 else ours)
    theirs = their_gradients(torch, network, torch.tensor(x), torch.tensor(labels))
    truth = their_gradients(torch, network.double(), torch.tensor(x).double(), torch.tensor(labels))
    with tgc.settings(exact=True):
        exact = errors(our_gradients(model, x, labels), truth)
    usual, torchs = errors(our_gradients(model, x, labels), truth), errors(theirs, truth)
    assert len(exact) == 20
    for path in exact:
        assert exact[path] <= 2 * max(torchs[path], np.median(list(torchs.values()))), (path, exact[path], torchs[path])
    assert max(usual.values()) < 0.02                      # Winograd's rounding flips more ReLUs that were nearly 0


def test_float64_gradients_of_resnet20_are_torchs():
    torch = pytest.importorskip("torch")
    from benchmarks.peers.torch_models import cifar_resnet

    spec, shape = models.get("resnet20")
    model = spec.build(shape, seed=0, dtype="float64")
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, *shape)), rng.integers(0, 10, 4)
    network = cifar_resnet(20).double()
    with torch.no_grad():
        for path, p in network.named_parameters():
            ours = torch.tensor(model.parameters[path].numpy().copy())
            p.copy_(ours.permute(3, 2, 0, 1) if p.ndim == 4 else ours.T if p.ndim == 2 else ours)
    truth = their_gradients(torch, network, torch.tensor(x), torch.tensor(labels))
    found = errors(our_gradients(model, x, labels), truth)
    assert max(found.values()) < 1e-9
